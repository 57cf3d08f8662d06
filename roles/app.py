"""What the app is: where it comes from, what it needs, how it is reached. Puts its user and its folders on a host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from carboy.applier.directory import Directory
from carboy.applier.name import Name
from carboy.applier.resource import Resource
from carboy.applier.user import User
from carboy.inventory import Host
from carboy.settings import Duration

NAME = r"[a-z][a-z0-9_]{0,24}"


@dataclass(frozen=True)
class Settings:
    """`app_*`: source is a folder, or with ref a git repository; requires are requirements without any source."""

    wsgi: str
    name: str = "app"
    source: str = ""
    ref: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    requirements: str = "requirements.txt"
    requires: tuple[str, ...] = ()
    packages_from: Literal["wheelhouse", "index"] = "wheelhouse"
    python: str = "python3"
    listen: str = "0.0.0.0:8000"
    health: str = "/health"
    environment: dict[str, str] = field(default_factory=dict)
    secrets_file: Path | None = None
    start_timeout: Duration = Duration(60)

    @property
    def home(self) -> str:
        """Where everything of the app lives on a host."""
        return f"/srv/{self.name}"

    @property
    def logs(self) -> str:
        """Where the app's log files are written."""
        return f"/var/log/{self.name}"

    @property
    def bind(self) -> str:
        """The public address as gunicorn writes it."""
        return f"unix:{self.listen}" if self.listen.startswith("/") else self.listen

    def validate(self) -> Iterator[tuple[str, str]]:
        """What the types cannot say."""
        import re

        if not re.fullmatch(NAME, self.name):
            yield "name", f"{self.name!r} is no name for a system user: small letters, digits and _, 25 at most"
        if not re.fullmatch(r"[\w.]+(:[\w.]+(\(\))?)?", self.wsgi):
            yield "wsgi", f"{self.wsgi!r} is not of the form package.module:object"
        if not self.health.startswith("/"):
            yield "health", f"{self.health!r} must begin with /"
        if not re.fullmatch(r"/[\w./-]+|(([\w.-]+|\[[0-9a-fA-F:]+\]):)?\d{1,5}", self.listen):
            yield "listen", f"{self.listen!r} is neither HOST:PORT nor the absolute path of a unix socket"
        for name in self.environment:
            if not re.fullmatch(r"[A-Za-z_]\w*", name):
                yield "environment", f"{name!r} cannot be the name of an environment variable"


def resources(host: Host, s: Settings) -> Iterator[Resource]:  # noqa: ARG001 - every role has this form
    """Declare the user that runs the app, and the folders that it lives in."""
    yield Name(s.name, home=s.home, logs=s.logs)
    yield User(s.name, home=s.home)
    yield Directory(s.home)
    yield Directory(f"{s.home}/releases")
    yield Directory(f"{s.home}/venvs")
    yield Directory(f"{s.home}/shared", owner=s.name, group=s.name, mode="0750")
    yield Directory(s.logs, owner=s.name, group=s.name, mode="0750")
