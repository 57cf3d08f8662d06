"""cron watches over the app, where there is no systemd: a control script that keeps a release running, and its crontab.

Both are part of the release; the line in /etc/cron.d calls whichever script belongs to the release that was chosen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from carboy.applier.cron.daemon import Daemon
from carboy.applier.file import File
from carboy.applier.package import Package
from carboy.applier.resource import Resource
from carboy.catalog import Content
from carboy.inventory import Host
from carboy.settings import Duration
from carboy.template import template
from roles.app import Settings as App
from roles.nginx import Settings as Nginx
from roles.server import Files
from roles.server import Settings as Server

NO_CGROUPS = "nothing adds up here what all processes of an app take: choose systemd or compose as app_runtime"
REFUSES: dict[str, str] = {
    "memory_max": NO_CGROUPS,
    "cpus": NO_CGROUPS,
}
PROGRAMS = ("keep", "instance", "sockets", "ask")
MOST_WAITING = 65535
GROUP = "([A-Za-z_][A-Za-z0-9_.-]*)?"


@dataclass(frozen=True)
class Settings:
    """`cron_*`: when the app counts as hanging, and the public socket, which a keeper holds in systemd's place."""

    app: App
    server: Server
    nginx: Nginx
    health_timeout: Duration = Duration(20)
    backlog: int = 4096
    socket_mode: str = "0660"
    socket_group: str = ""

    @property
    def stop_timeout(self) -> float:
        """Seconds until what is left is killed: longer than the server's own grace."""
        return self.app.stop_timeout + 10

    # Root's, and for the app's group to read.
    secret_mode: ClassVar[str] = "0440"

    @property
    def start(self) -> dict[str, Any]:
        """All that the keeper needs to know."""
        return {
            "app": self.app.name,
            "command": self.server.chosen.command,
            "candidate": self.server.chosen.candidate,
            "health": self.app.health,
            "listen": self.app.listen,
            "backlog": self.backlog,
            "mode": self.socket_mode,
            "group": self.socket_group or self.nginx.group,
            "open_files": self.app.open_files,
            "tasks_max": self.app.tasks_max,
        }

    def files(self, secrets: tuple[str, ...] = ()) -> Files:
        """What a release carries: the control script, the programs that it calls, and what these need to know."""
        start = {**self.start, "secrets": secrets}
        return {
            "cron/control": ("0755", template("cron/control.sh.j2", s=self)),
            "cron/settings.json": ("0644", Content.of(json.dumps(start, indent=1) + "\n")),
            **{f"cron/{name}.py": ("0644", template(f"cron/{name}.py")) for name in PROGRAMS},
        }

    @property
    def checks(self) -> tuple[str, ...]:
        """Commands that must accept a release before it is complete; {path} is its folder."""
        return ("sh -n {path}/cron/control",)

    def validate(self) -> Iterator[tuple[str, ...]]:
        """What the types cannot say."""
        if not 1 <= self.health_timeout <= 45:
            yield "health_timeout", f"{self.health_timeout:g} s is not from 1s to 45s", "cron looks once a minute"
        if not 1 <= self.backlog <= MOST_WAITING:
            yield "backlog", f"{self.backlog} is not from 1 to {MOST_WAITING}"
        if not re.fullmatch("[0-7]{3,4}", self.socket_mode):
            yield "socket_mode", f"{self.socket_mode!r} is no octal mode", 'write it like "0660"'
        if not re.fullmatch(GROUP, self.socket_group):
            yield "socket_group", f"{self.socket_group!r} is no name of a group"


def resources(host: Host, s: Settings) -> Iterator[Resource]:  # noqa: ARG001 - every role has this form
    """Declare cron, and the line that makes it look after the app."""
    yield Package(("cron",))
    yield File(f"/etc/cron.d/{s.app.name}", template("cron/crontab.j2", s=s))
    yield Daemon()
