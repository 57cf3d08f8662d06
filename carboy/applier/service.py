"""A unit of systemd that is enabled, active, and started after its files last changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

from carboy.applier.host import Host
from carboy.applier.resource import Drift, Properties, Resource
from carboy.applier.systemd import systemctl


@dataclass(frozen=True)
class Service(Resource):
    """A unit by its full name; `files` are what it read when it started, so a newer one makes it stale."""

    name: str
    enabled: bool = True
    active: bool = True
    files: Tuple[str, ...] = ()

    def title(self) -> str:
        """The name people read."""
        return "service %s" % self.name

    def foresee(self, host: Host) -> None:
        """Begin to ask systemd."""
        systemctl.foresee(host, self.name)

    def current(self, host: Host) -> Properties:
        """Enabled, active, and fresh: started after its files last changed."""
        unit = systemctl.show(host, self.name)[self.name]
        active = unit["ActiveState"] in systemctl.RUNNING
        return {
            "enabled": unit["UnitFileState"] in ("enabled", "enabled-runtime", "static", "generated"),
            "active": active,
            "fresh": not active or systemctl.started(unit) >= systemctl.newest(host, self.files),
        }

    def desired(self, host: Host) -> Properties:
        """As declared; a stale service is never wanted."""
        return {"enabled": self.enabled, "active": self.active, "fresh": True}

    def repair(self, host: Host, drift: Drift) -> None:
        """Enable or disable, then start, restart or stop."""
        host.run("systemctl", "daemon-reload")
        if "enabled" in drift:
            host.run("systemctl", "enable" if self.enabled else "disable", self.name)
        if "active" in drift or "fresh" in drift:
            host.call("systemctl", "reset-failed", self.name)
            host.run("systemctl", "restart" if self.active else "stop", self.name)
