"""The installation of packages by apt."""

from __future__ import annotations

import fcntl
import os
import struct
from typing import Tuple

from carboy.applier.host import Host
from carboy.applier.resource import Failure

LOCK = "/var/lib/dpkg/lock-frontend"
LOCK_SECONDS = 300
QUIET = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1"}


def install(host: Host, names: Tuple[str, ...]) -> None:
    """Install what is missing, waiting for whoever holds the package database."""
    if not host.at("/usr/bin/apt-get").exists():
        raise Failure(
            "packages are missing and the host has no apt-get: %s" % " ".join(names),
            hint="install them with the host's own package manager, then deploy again",
        )
    busy = holder(host)
    if busy:
        host.say("waiting for the package database, held by %s" % busy)
    install = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=%d" % LOCK_SECONDS, "install", "-y")
    command = (*install, "--no-install-recommends", *names)
    if host.call(*command, env=QUIET).returncode:
        host.run("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=%d" % LOCK_SECONDS, "update")
        host.run(*command, env=QUIET)


def holder(host: Host) -> str:
    """Name and number of the process that holds the lock of dpkg; empty if it is free."""
    try:
        with open(host.at(LOCK), "r+b") as lock:
            query = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            kind, _, _, _, pid = struct.unpack("hhqqi4x", fcntl.fcntl(lock, fcntl.F_GETLK, query))
        return "" if kind == fcntl.F_UNLCK else "%s (%d)" % (host.at("/proc/%d/comm" % pid).read_text().strip(), pid)
    except OSError:
        return ""
