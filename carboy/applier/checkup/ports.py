"""Who listens on a port, as the kernel tells it."""

from __future__ import annotations

import os
from typing import Iterator, List

from carboy.applier.host import Host

LISTENS = "0A"


def listeners(host: Host, port: int) -> List[str]:
    """The programs that listen on a port of any address, each once, by name and number."""
    sockets = {"socket:[%s]" % inode for inode in _inodes(host, port)}
    if not sockets:
        return []
    found = {_name(host, pid) for pid in os.listdir(host.at("/proc")) if pid.isdigit() and sockets & _open(host, pid)}
    return sorted(found) or ["a program of another namespace"]


def _inodes(host: Host, port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        path = host.at("/proc/net/" + table)
        for line in path.read_text().splitlines()[1:] if path.exists() else []:
            words = line.split()
            if words[3] == LISTENS and int(words[1].rpartition(":")[2], 16) == port:
                yield words[9]


def _open(host: Host, pid: str) -> "set[str]":
    folder = host.at("/proc/%s/fd" % pid)
    try:
        return {_target(os.path.join(folder, name)) for name in os.listdir(folder)}
    except OSError:
        # It has ended meanwhile.
        return set()


def _target(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _name(host: Host, pid: str) -> str:
    try:
        return "%s (%s)" % (host.at("/proc/%s/comm" % pid).read_text().strip(), pid)
    except OSError:
        return pid
