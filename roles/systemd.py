"""systemd runs the app: a socket that holds the port, and a hardened service per release, both part of the release."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from carboy.applier.resource import Resource
from carboy.inventory import Host
from carboy.settings import Duration
from carboy.template import template
from roles.app import Settings as App
from roles.nginx import Settings as Nginx
from roles.server import Files
from roles.server import Settings as Server


@dataclass(frozen=True)
class Settings:
    """`systemd_*`: how a crash is met, and what only units know."""

    app: App
    server: Server
    nginx: Nginx
    restart_sec: Duration = Duration(0.5)
    start_limit_interval: Duration = Duration(30)
    start_limit_burst: int = 5
    backlog: int = 4096
    socket_mode: str = "0660"
    socket_group: str = ""
    writable: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """What the service starts, the release being the instance of the unit."""
        return self.server.chosen.command.replace("%r", f"{self.app.home}/releases/%i")

    @property
    def stop_timeout(self) -> float:
        """Seconds until systemd kills: longer than the server's own grace."""
        return self.app.stop_timeout + 10

    @property
    def cpu_quota(self) -> str:
        """CPU time as systemd writes it: 150% is one and a half cores; empty for no limit."""
        return f"{self.app.cpus * 100:g}%" if self.app.cpus else ""

    @property
    def group(self) -> str:
        """Who may connect to a unix socket: the proxy where there is one, else the app's own group."""
        return self.socket_group or self.nginx.group or self.app.name

    # systemd reads a secret as root, and hands the app a copy.
    secret_mode: ClassVar[str] = "0600"

    def files(self, secrets: tuple[str, ...] = ()) -> Files:
        """The units that a release carries, by path, with the mode; {release} becomes its name on the host."""
        name = self.app.name
        return {
            f"units/{name}@{{release}}.service": ("0644", template("systemd/app.service.j2", s=self, secrets=secrets)),
            f"units/{name}.socket": ("0644", template("systemd/app.socket.j2", s=self)),
            f"units/{name}-probe@.socket": ("0644", template("systemd/app-probe.socket.j2", s=self)),
        }

    @property
    def checks(self) -> tuple[str, ...]:
        """Commands that must accept a release before it is complete; {path} is its folder."""
        # The sockets are loaded along with the service; the public one alone would lack its choice of a release.
        # Without its option for errors the tool lets misspelt keys pass; before systemd 250 it has no such option.
        strict = "systemd-analyze --help | grep -q recursive-errors && strict=--recursive-errors=yes"
        script = f'{strict}; exec systemd-analyze verify $strict "$0"'
        return (f"sh -c '{script}' {{path}}/units/{self.app.name}@{{release}}.service",)

    def validate(self) -> Iterator[tuple[str, ...]]:
        """What the types cannot say."""
        for path in self.writable:
            if not path.startswith("/") or not path.isprintable() or " " in path:
                yield "writable", f"{path!r} is no absolute path without white space"


def resources(host: Host, s: Settings) -> Iterator[Resource]:  # noqa: ARG001 - every role has this form
    """Nothing beside the release, which brings its units along."""
    yield from ()
