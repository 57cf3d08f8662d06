"""Room on disk, as a fact for errors."""

from __future__ import annotations

import os
from typing import Dict, List

from carboy.applier.host import Host

# What a failed write says, in the words of the kernel and of SQLite.
FULL = ("No space left on device", "Disk quota exceeded", "database or disk is full")
PLACES = ("/", "/srv", "/var/log", "/tmp", "/run", "/var/lib")
SCARCE_BYTES = 100e6


def with_room(host: Host, said: str) -> str:
    """The facts of a failure, with those about the room on disk below, unless they are there already."""
    return said if "disk: " in said else "\n".join([said, *room(host, said)]).strip("\n")


def room(host: Host, said: str, *more: str) -> List[str]:
    """A line for each file system that is short of room; for all of them if `said` tells of a write that failed."""
    wanted = [path for path in (*PLACES, str(host.blobs), *more) if host.at(path).exists()]
    if not any(words in said for words in FULL):
        wanted = [path for path in wanted if _scarce(os.statvfs(host.at(path)))]
    systems: Dict[int, List[str]] = {}
    for path in wanted:
        systems.setdefault(host.at(path).stat().st_dev, []).append(path)
    return ["disk: %s: %s" % (", ".join(paths), _free(os.statvfs(host.at(paths[0])))) for paths in systems.values()]


def _scarce(found: os.statvfs_result) -> bool:
    bytes_free = found.f_bavail * found.f_frsize
    few_bytes = bytes_free < SCARCE_BYTES and found.f_bavail * 20 < found.f_blocks
    return few_bytes or found.f_favail * 100 < found.f_files


def _free(found: os.statvfs_result) -> str:
    # btrfs and others make inodes as they need them, and say that there are none at all.
    inodes = " and %d inodes" % found.f_favail if found.f_files else ""
    return "%.0f MB%s free" % (found.f_bavail * found.f_frsize / 1e6, inodes)
