"""What the app is: where it comes from, what it needs, how it is reached. Puts its user and its folders on a host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_pton
from typing import Literal

from carboy import environment, secrets
from carboy.applier.directory import Directory
from carboy.applier.name import Name
from carboy.applier.resource import Resource
from carboy.applier.user import User
from carboy.catalog import Content
from carboy.environment import refusal
from carboy.inventory import Host
from carboy.inventory.sealed import Secret, Text
from carboy.secrets import Source
from carboy.settings import Duration, Size

NAME = r"[a-z][a-z0-9_]{0,24}"
DOMAIN = r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"


@dataclass(frozen=True)
class Settings:
    """`app_*`: source is a folder, or with ref a git repository; requires are requirements without any source.

    How it is run (runtime, server, proxy) and what it may use are said here too, for every way alike.
    """

    wsgi: str
    name: str = "app"
    runtime: Literal["systemd", "cron", "compose", "kubernetes"] = "systemd"
    server: Literal["gunicorn", "gevent", "flask"] = "gunicorn"
    proxy: Literal["none", "nginx"] = "none"
    development: bool = False
    domain: str = ""
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
    environment: dict[str, Text] = field(default_factory=dict)
    secrets: dict[str, Source] = field(default_factory=dict)
    secrets_file: Path | None = None
    secrets_as: Literal["environment", "files"] = "environment"
    start_timeout: Duration = Duration(60)
    stop_timeout: Duration = Duration(30)
    memory_max: Size | None = None
    cpus: float | None = None
    tasks_max: int = 512
    open_files: int = 16384

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

    def validate(self) -> Iterator[tuple[str, ...]]:
        """What the types cannot say."""
        if not re.fullmatch(NAME, self.name):
            yield "name", f"{self.name!r} is no name for a system user: small letters, digits and _, 25 at most"
        if self.name == "carboy":
            yield "name", "carboy is what Carboy's own folders on a host are called", "give the app another name"
        if not re.fullmatch(r"[\w.]+(:[\w.]+(\(\))?)?", self.wsgi):
            yield "wsgi", f"{self.wsgi!r} is not of the form package.module:object"
        if not re.fullmatch(r"/[!-~]*", self.health):
            yield "health", f"{self.health!r} must begin with / and be ASCII without spaces", "write others as %20"
        if not _listens(self.listen):
            what = f"{self.listen!r} is neither ADDRESS:PORT (1 to 65535) nor the absolute path of a unix socket"
            yield "listen", what, "systemd takes no names: write 127.0.0.1:8000 or [::1]:8000"
        yield from _ways(self)
        yield from _limits(self)
        for name in self.environment:
            problem, hint = refusal(name)
            if problem:
                yield "environment", problem, hint
        yield from (("secrets", *refusal) for refusal in secrets.refusals(self.secrets))

    def secret_values(self, host: Host) -> dict[str, Secret]:
        """Its secrets by name, wherever they come from; DeclarationError if one cannot be had."""
        where, file_where = host.where("app_secrets"), host.where("app_secrets_file")
        return secrets.values(self.secrets, self.secrets_file, where=where, file_where=file_where)

    def kept(self, host: Host, mode: str) -> dict[str, tuple[str, Content]]:
        """Its environment and its secrets as files of a release; `mode` is that of a file that is one secret."""
        found = self.secret_values(host)
        where = host.where("app_secrets" if self.secrets else "app_secrets_file" if found else "app_environment")
        return environment.files(self.environment, found, where=where, mode=mode if self.secrets_as == "files" else "")


def _ways(s: Settings) -> Iterator[tuple[str, ...]]:
    """How it is served and by what name."""
    if s.domain and not re.fullmatch(DOMAIN, s.domain):
        yield "domain", f"{s.domain!r} is no name of a host", "write it like shop.example.com"
    if s.domain and s.proxy == "none" and s.runtime != "kubernetes":
        yield "domain", "nothing here answers by a name", "set app_proxy: nginx, or leave it out"
    if s.server == "flask" and not s.development:
        what = "flask is a server for development, and is refused on a host"
        yield "server", what, "choose gunicorn or gevent, or set app_development: true where only you reach it"


def _limits(s: Settings) -> Iterator[tuple[str, ...]]:
    """What it may use."""
    if not 1 <= s.stop_timeout <= 3600:
        yield "stop_timeout", f"{s.stop_timeout:g} s is not from 1s to 1h"
    if s.cpus is not None and not 0.01 <= s.cpus <= 1024:
        yield "cpus", f"{s.cpus:g} is no number of cores", "write 0.5 for half a core"
    for name in ("tasks_max", "open_files"):
        if getattr(s, name) < 16:
            yield name, f"{getattr(s, name)} is too few: no server starts with less than 16"


def _listens(address: str) -> bool:
    """Whether systemd can listen there: on an absolute path, a port, or a port of a numeric address."""
    if address.startswith("/"):
        return bool(re.fullmatch(r"/[\w./-]+", address))
    host, _, port = address.rpartition(":")
    return bool(re.fullmatch("[0-9]{1,5}", port)) and 0 < int(port) < 65536 and (address == port or _numeric(host))


def _numeric(host: str) -> bool:
    bracketed = re.fullmatch(r"\[(.*)\]", host)
    try:
        return bool(inet_pton(AF_INET6, bracketed[1]) if bracketed else inet_pton(AF_INET, host))
    except (OSError, ValueError):
        return False


def resources(host: Host, s: Settings) -> Iterator[Resource]:  # noqa: ARG001 - every role has this form
    """Declare the user that runs the app, and the folders that it lives in."""
    yield Name(s.name, home=s.home, logs=s.logs)
    yield User(s.name, home=s.home)
    yield Directory(s.home)
    yield Directory(f"{s.home}/releases")
    yield Directory(f"{s.home}/venvs")
    yield Directory(f"{s.home}/shared", owner=s.name, group=s.name, mode="0750")
    yield Directory(s.logs, owner=s.name, group=s.name, mode="0750")
