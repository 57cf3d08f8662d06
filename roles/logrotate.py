"""Rotation of the app's logs: by rename and a signal to the main process, so that no line is lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from carboy.applier.file import File
from carboy.applier.package import Package
from carboy.applier.resource import Resource
from carboy.applier.service import Service
from carboy.inventory import Host
from carboy.template import template
from roles.app import Settings as App


@dataclass(frozen=True)
class Settings:
    """`logrotate_*`: how many rotated logs are kept."""

    app: App
    keep: int = 7

    @property
    def signal(self) -> str:
        """The command that has the main processes open their logs anew."""
        if self.app.runtime == "cron":
            return f"{self.app.home}/control reopen"
        if self.app.runtime == "compose":
            # Not `docker kill`: what it has signalled docker takes for stopped by hand, and does not restart it,
            # neither after a crash nor at boot.
            each = "| xargs --no-run-if-empty"
            # Nor one that is between two starts: it has no process, and signal 0 is for everybody's.
            running = f"docker ps --quiet --filter status=running --filter label=carboy.app={self.app.name}"
            return f"{running} {each} docker inspect --format '{{{{.State.Pid}}}}' {each} kill -USR1"
        return f"systemctl kill --kill-who=main --signal=USR1 '{self.app.name}@*.service'"


def resources(host: Host, s: Settings) -> Iterator[Resource]:  # noqa: ARG001 - every role has this form
    """Declare the rotation rule, and what runs it daily: a timer of systemd's, or the package's own job of cron."""
    yield Package(("logrotate",))
    yield File(f"/etc/logrotate.d/{s.app.name}", template("logrotate/app.j2", s=s), check="logrotate -d {}")
    if s.app.runtime != "cron":
        yield Service("logrotate.timer")
