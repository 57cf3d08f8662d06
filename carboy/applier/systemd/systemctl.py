"""systemd as a resource sees it: a few calls of systemctl, each asking for much at once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Dict, Iterable

from carboy.applier.host import Host, write

UNITS = "/etc/systemd/system"
TRANSIENT = "/run/systemd/system"
PROPERTIES = (
    "Id,ActiveState,Result,MainPID,NRestarts,UnitFileState,NeedDaemonReload,"
    "ActiveEnterTimestampMonotonic,ExecMainStatus,InvocationID"
)
SHOW = ("systemctl", "show", "--property", PROPERTIES, "--")
RUNNING = ("active", "activating", "reloading")


def foresee(host: Host, *units: str) -> None:
    """Begin to ask what the next `show` of these units will tell."""
    host.foresee(*SHOW, *units)


def show(host: Host, *units: str) -> Dict[str, Dict[str, str]]:
    """Properties by unit name; patterns match loaded units, a plain name is always answered."""
    text = host.run(*SHOW, *units)
    blocks = (dict(line.partition("=")[::2] for line in block.splitlines()) for block in text.split("\n\n"))
    return {block["Id"]: block for block in blocks if "Id" in block}


def install(host: Host, path: Path, text: bytes) -> None:
    """Put a unit file in place; if systemd may have read another text there, the next `settle` makes it read anew."""
    if path.exists() and path.read_bytes() == text:
        return
    host.stale_units = host.stale_units or path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, text)


def settle(host: Host) -> None:
    """Make systemd read the unit files that were changed since the last time."""
    if host.stale_units:
        host.run("systemctl", "daemon-reload")
        host.stale_units = False


def started(unit: Dict[str, str]) -> float:
    """When a unit became active, as seconds of the wall clock; 0 if it is not."""
    since = int(unit.get("ActiveEnterTimestampMonotonic") or 0) / 1e6
    return time.time() - time.clock_gettime(time.CLOCK_MONOTONIC) + since if since else 0.0


def newest(host: Host, files: Iterable[str]) -> float:
    """When the newest of these files changed, as seconds of the wall clock; 0 if none is there."""
    paths = [host.at(file) for file in files]
    return max([path.stat().st_mtime for path in paths if path.exists()], default=0.0)
