"""On what was measured."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

from benchmarks.packages import REQUIREMENTS


def facts() -> str:
    """One sentence: cores, memory, what was running before, and the versions of all who take part."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    pinned = re.search(r"^pyinfra==(\S+)", REQUIREMENTS.read_text(), re.MULTILINE)
    assert pinned
    return (
        f"{len(os.sched_getaffinity(0))} cores ({_processor()}) and {memory:.0f} GB, which controller and hosts share; "
        f"load {os.getloadavg()[0]:.2f} before the start; Linux {platform.release()}, Python "
        f"{platform.python_version()}, ansible-core {version('ansible-core')}, pyinfra {pinned[1]}, "
        f"paramiko {version('paramiko')}; hosts are Debian 12 with systemd, in containers"
    )


def _processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1].strip() if found else platform.machine()
