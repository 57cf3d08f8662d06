"""The resource that says that cron runs."""

from __future__ import annotations

from dataclasses import dataclass

from carboy.applier.host import Host
from carboy.applier.resource import Drift, Failure, Properties, Resource

NAMES = ("cron", "crond")
# Scripts of services say that all is well where there is nothing to start, so each is tried until cron runs.
WAYS = ("service cron start", "service crond start", "cron", "crond")
HINT = "see that it is installed, and is started along with the host: without it nobody looks after the app"


@dataclass(frozen=True)
class Daemon(Resource):
    """cron runs, started by whatever starts services here."""

    def title(self) -> str:
        """The name people read."""
        return "cron"

    def current(self, host: Host) -> Properties:
        """Whether any process is cron."""
        return {"running": _runs(host)}

    def desired(self, host: Host) -> Properties:
        """It runs."""
        return {"running": True}

    def repair(self, host: Host, drift: Drift) -> None:
        """Start it."""
        for way in WAYS:
            if not _runs(host):
                host.call("sh", "-c", way)
        if not _runs(host):
            raise Failure("cron does not start", details="tried: %s" % ", ".join(WAYS), hint=HINT)


def _runs(host: Host) -> bool:
    return any(_command(host, path.name) in NAMES for path in host.at("/proc").glob("[0-9]*"))


def _command(host: Host, pid: str) -> str:
    """The name of a process; empty if it ended meanwhile."""
    try:
        return host.at("/proc/%s/comm" % pid).read_text().strip()
    except OSError:
        return ""
