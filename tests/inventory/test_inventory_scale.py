"""Five hundred hosts cost little memory: what they share is there once."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

from carboy.inventory import load

HOSTS = 500
GROUPS = 20
MOST = 16 * 1024
"""Bytes that one more host may take, of the 2 MB that it may take in all."""


def test_memory_of_each_host(tmp_path: Path) -> None:
    """A host with thirty variables from three levels takes a few KiB, and shares the values with its group."""
    _write(tmp_path)
    tracemalloc.start()
    hosts = load([tmp_path]).select(["all"])
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(hosts) == HOSTS
    assert used / HOSTS < MOST
    of_one_group = [host for host in hosts if "g03" in host.groups]
    assert len({id(host.variables["big"]) for host in of_one_group}) == 1


def _write(folder: Path) -> None:
    lines = []
    for group in range(GROUPS):
        members = [f"h{number:03} ansible_host=10.0.0.1 rack=4" for number in range(group, HOSTS, GROUPS)]
        lines += [f"[g{group:02}]", *members, f"[g{group:02}:vars]", "ansible_user=deploy"]
    (folder / "hosts").write_text("\n".join(lines))
    for kind in ("group_vars", "host_vars"):
        (folder / kind).mkdir()
    for group in range(GROUPS):
        text = "\n".join(f"v{number}: value {number}" for number in range(25))
        (folder / "group_vars" / f"g{group:02}.yml").write_text(f"{text}\nbig: {'x' * 50_000}\n")
    for number in range(HOSTS):
        (folder / "host_vars" / f"h{number:03}.yml").write_text(f"serial: {number}\n")
