"""`workers: auto`, on machines and in cgroups of all kinds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import workers

MIB = 2**20
UNLIMITED_V1 = "9223372036854771712"
V2 = "0::/system.slice/probe.service\n"
V1 = "4:memory:/probe\n3:cpuset:/\n2:cpu,cpuacct:/probe\n0::/\n"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 4 cores and 8 GiB; the folder returned stands for /sys/fs/cgroup."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 8192 * 256, "SC_PAGE_SIZE": 4096}.__getitem__)
    monkeypatch.setattr(workers, "CGROUPS", tmp_path)
    monkeypatch.setattr(workers, "MEMBERSHIP", tmp_path / "membership")
    (tmp_path / "membership").write_text(V2)
    return tmp_path


def write(machine: Path, files: dict[str, str]) -> None:
    """Write files of the cgroup file system."""
    for name, content in files.items():
        (machine / name).parent.mkdir(parents=True, exist_ok=True)
        (machine / name).write_text(content + "\n")


def test_without_limits(machine: Path) -> None:
    """Two workers a core and one more, where no cgroup sets a limit."""
    write(machine, {"system.slice/cpu.max": "max 100000", "system.slice/memory.max": "max"})
    assert workers.automatic() == 9


@pytest.mark.parametrize("group", ["system.slice/probe.service", "system.slice", "."])
def test_quota_of_any_group_above(machine: Path, group: str) -> None:
    """A CPU quota counts in whichever cgroup above the process it is set; half a core still carries two workers."""
    write(machine, {f"{group}/cpu.max": "50000 100000"})
    assert workers.automatic() == 2


@pytest.mark.parametrize(("limit", "expected"), [(1024 * MIB, 8), (300 * MIB, 2), (10 * MIB, 1)])
def test_memory_limit(machine: Path, limit: int, expected: int) -> None:
    """Memory carries a worker for each 128 MiB, and at least one."""
    write(machine, {"system.slice/probe.service/memory.max": str(limit), "system.slice/memory.max": "max"})
    assert workers.automatic() == expected


@pytest.mark.usefixtures("machine")
def test_little_physical_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory of the machine is a limit too."""
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 512 * 256, "SC_PAGE_SIZE": 4096}.__getitem__)
    assert workers.automatic() == 4


def test_version_1(machine: Path) -> None:
    """The first version of cgroups is understood, with its ways to say unlimited."""
    (machine / "membership").write_text(V1)
    write(machine, {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"})
    write(machine, {"memory/memory.limit_in_bytes": UNLIMITED_V1})
    assert workers.automatic() == 9
    write(machine, {"cpu/probe/cpu.cfs_quota_us": "200000", "cpu/probe/cpu.cfs_period_us": "100000"})
    assert workers.automatic() == 5
    write(machine, {"memory/probe/memory.limit_in_bytes": str(256 * MIB)})
    assert workers.automatic() == 2


def test_this_machine() -> None:
    """On a real machine the number is within what its cores allow."""
    assert 1 <= workers.automatic() <= 2 * len(os.sched_getaffinity(0)) + 1
