"""systemd runs the app: a socket that holds the port, and a hardened service per release, both part of the release."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from carboy.applier.resource import Blob, Resource
from carboy.inventory import Host
from carboy.settings import Duration, Size
from carboy.template import template
from roles.app import Settings as App
from roles.gunicorn import Settings as Gunicorn


@dataclass(frozen=True)
class Settings:
    """`systemd_*`: how a crash is met, and what the app may use; no limit where none is named."""

    app: App
    gunicorn: Gunicorn
    restart_sec: Duration = Duration(0.5)
    start_limit_interval: Duration = Duration(30)
    start_limit_burst: int = 5
    memory_max: Size | None = None
    cpu_quota: str = ""
    tasks_max: int = 512
    open_files: int = 16384
    backlog: int = 4096
    socket_mode: str = "0660"
    socket_group: str = ""
    writable: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """What the service starts, the release being the instance of the unit."""
        return self.gunicorn.command.replace("%r", f"{self.app.home}/releases/%i")

    @property
    def stop_timeout(self) -> float:
        """Seconds until systemd kills: longer than gunicorn's own grace."""
        return self.gunicorn.graceful_timeout + 10

    def validate(self) -> Iterator[tuple[str, ...]]:
        """What the types cannot say."""
        if not re.fullmatch(r"(0*[1-9][0-9]{0,5}%)?", self.cpu_quota):
            yield (
                "cpu_quota",
                f"{self.cpu_quota!r} is no share of a core",
                "write it like 50%, or 150% for one and a half",
            )
        for path in self.writable:
            if not path.startswith("/") or not path.isprintable() or " " in path:
                yield "writable", f"{path!r} is no absolute path without white space"


def resources(host: Host, s: Settings) -> Iterator[Resource]:  # noqa: ARG001 - every role has this form
    """Nothing beside the release, which brings its units along."""
    yield from ()


def files(s: Settings) -> dict[str, tuple[str, Blob]]:
    """The units that a release carries, by path, with the mode; {release} becomes the release's name on the host."""
    name = s.app.name
    return {
        f"units/{name}@{{release}}.service": ("0644", template("systemd/app.service.j2", s=s)),
        f"units/{name}.socket": ("0644", template("systemd/app.socket.j2", s=s)),
        f"units/{name}-probe@.socket": ("0644", template("systemd/app-probe.socket.j2", s=s)),
    }


def checks(s: Settings) -> tuple[str, ...]:
    """Commands that must accept a release before it is complete; {path} is its folder."""
    # The sockets are loaded along with the service; the public one alone would lack its choice of a release.
    # Without its option for errors the tool lets misspelt keys pass; before systemd 250 it has no such option.
    strict = "systemd-analyze --help | grep -q recursive-errors && strict=--recursive-errors=yes"
    script = f'{strict}; exec systemd-analyze verify $strict "$0"'
    return (f"sh -c '{script}' {{path}}/units/{s.app.name}@{{release}}.service",)
