"""A network that loses packets between this machine and a container host: rules in the host's own namespace."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from carboy.sandbox.container import Container

DIRECTIONS = (("INPUT", "--dport"), ("OUTPUT", "--sport"))
TOOLS = ("nsenter", "iptables")


@contextmanager
def loss(container: Container, share: float = 1.0) -> Iterator[None]:
    """Lose this share of the packets of SSH, both ways, for the length of the block; 1.0 is a cut."""
    if os.geteuid() or not all(map(shutil.which, TOOLS)):
        pytest.skip(f"losing packets takes root, and {' and '.join(TOOLS)}")
    pid = container.engine.run("container", "inspect", "--format", "{{.State.Pid}}", container.name)
    random = ["-m", "statistic", "--mode", "random", "--probability", str(share)] if share < 1 else []

    def rules(change: str) -> None:
        for chain, side in DIRECTIONS:
            rule = [change, chain, "-p", "tcp", side, "22", *random, "-j", "DROP"]
            subprocess.run(["nsenter", "-t", pid, "-n", "iptables", *rule], check=True)

    rules("-I")
    try:
        yield
    finally:
        rules("-D")
