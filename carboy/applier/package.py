"""Packages of the distribution, by apt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

from carboy.applier.host import Host
from carboy.applier.resource import Drift, Properties, Resource


@dataclass(frozen=True)
class Package(Resource):
    """Packages that are installed, of any version."""

    names: Tuple[str, ...]

    def title(self) -> str:
        """The name people read."""
        return "package %s" % " ".join(self.names)

    def current(self, host: Host) -> Properties:
        """Which of the packages dpkg has installed; its status file is read, which is quicker than asking it."""
        status = host.at("/var/lib/dpkg/status")
        installed = _installed(status.read_text(errors="replace")) if status.exists() else set()
        return {name: name in installed for name in self.names}

    def desired(self, host: Host) -> Properties:
        """All of them installed."""
        return dict.fromkeys(self.names, True)

    def repair(self, host: Host, drift: Drift) -> None:
        """Install what is missing, waiting for whoever holds the package database."""
        from carboy.applier.apt import install

        install(host, tuple(drift))


def _installed(status: str) -> set[str]:
    entries = (entry.split("\n", 2) for entry in status.split("\n\n") if "\nStatus: install ok installed" in entry)
    return {entry[0].partition(": ")[2] for entry in entries}
