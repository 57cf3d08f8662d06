"""How many gunicorn workers this machine can carry, within the limits of the cgroup that the process runs in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
WORKER_BYTES = 128 * 2**20


def automatic() -> int:
    """Two workers a core and one more, but no more than memory carries at 128 MiB each, and at least one."""
    return max(1, min(int(2 * cores()) + 1, memory() // WORKER_BYTES))


def cores() -> float:
    """Cores this process may use: those it may be scheduled on, or the CPU quota if that is less."""
    return min([len(os.sched_getaffinity(0)), *_quotas()])


def memory() -> int:
    """Bytes of memory this process may use: those of the machine, or the cgroup's limit if that is less."""
    # Not /proc/meminfo: a unit with ProcSubset=pid does not see it.
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([physical, *_memory_limits()])


def _quotas() -> Iterator[float]:
    for group in _groups("cpu"):
        quota = _numbers(group / "cpu.max") or _numbers(group / "cpu.cfs_quota_us", group / "cpu.cfs_period_us")
        if len(quota) == 2 and quota[0] > 0:
            yield quota[0] / quota[1]


def _memory_limits() -> Iterator[int]:
    for group in _groups("memory"):
        yield from _numbers(group / "memory.max", group / "memory.limit_in_bytes")


def _groups(controller: str) -> Iterator[Path]:
    """Yield the cgroup of this process and all above it, since each can limit it; version 2 names no controller."""
    for line in MEMBERSHIP.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers or controller in controllers.split(","):
            root = CGROUPS / controller if controllers else CGROUPS
            group = root / path.lstrip("/")
            yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(root))


def _numbers(*files: Path) -> list[int]:
    """Return the numbers in those of the files that exist; the word "max" stands for no limit and is left out."""
    words = [word for file in files if file.is_file() for word in file.read_text().split()]
    return [int(word) for word in words if word != "max"]
