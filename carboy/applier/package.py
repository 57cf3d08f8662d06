"""Packages of the distribution, by apt."""

from __future__ import annotations

import fcntl
import os
import struct
from dataclasses import dataclass
from typing import Tuple

from carboy.applier.host import Host
from carboy.applier.resource import Drift, Failure, Properties, Resource

LOCK = "/var/lib/dpkg/lock-frontend"
LOCK_SECONDS = 300
QUIET = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1"}


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
        if not host.at("/usr/bin/apt-get").exists():
            raise Failure(
                "packages are missing and the host has no apt-get: %s" % " ".join(drift),
                hint="install them with the host's own package manager, then deploy again",
            )
        holder = _holder(host)
        if holder:
            host.say("waiting for the package database, held by %s" % holder)
        install = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=%d" % LOCK_SECONDS, "install", "-y")
        command = (*install, "--no-install-recommends", *drift)
        if host.call(*command, env=QUIET).returncode:
            host.run("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=%d" % LOCK_SECONDS, "update")
            host.run(*command, env=QUIET)


def _installed(status: str) -> set[str]:
    entries = (entry.split("\n", 2) for entry in status.split("\n\n") if "\nStatus: install ok installed" in entry)
    return {entry[0].partition(": ")[2] for entry in entries}


def _holder(host: Host) -> str:
    """Name and number of the process that holds the lock of dpkg; empty if it is free."""
    try:
        with open(host.at(LOCK), "r+b") as lock:
            query = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            kind, _, _, _, pid = struct.unpack("hhqqi4x", fcntl.fcntl(lock, fcntl.F_GETLK, query))
        return "" if kind == fcntl.F_UNLCK else "%s (%d)" % (host.at("/proc/%d/comm" % pid).read_text().strip(), pid)
    except OSError:
        return ""
