"""Questions about an app that cron looks after: its instance as it is written down, and how soon it is back."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from carboy.verify.on_host import app

SESSION = 3


def instance(record: str) -> dict[str, int]:
    """The main process and the keeper of an instance, by its file in /run; 0 where nothing is written down."""
    words = Path(record).read_text().split() if Path(record).exists() else ["0"] * 4
    return {"main": int(words[0]), "keeper": int(words[2])}


def killed(record: str, listen: str, path: str, seconds: str, *whom: str) -> dict[str, Any]:
    """Kill main process, keeper, or keeper and main process in turn; how long until another main process answers."""
    before = instance(record)
    for name in whom:
        os.kill(before[name], signal.SIGKILL)
    return _back(record, before, listen, path, float(seconds))


def hanging(record: str, listen: str, path: str, seconds: str) -> dict[str, Any]:
    """Stop all processes of the instance where they are; how long until another main process answers."""
    before = instance(record)
    for pid in _session(before["main"]):
        os.kill(pid, signal.SIGSTOP)
    return _back(record, before, listen, path, float(seconds))


def _back(record: str, before: dict[str, int], listen: str, path: str, seconds: float) -> dict[str, Any]:
    began = time.monotonic()

    def replaced() -> bool:
        return instance(record)["main"] not in (0, before["main"]) and app.healthy(listen, path)

    back = app.until(replaced, seconds)
    took = time.monotonic() - began
    # What was there before has its time to end.
    app.until(lambda: not _session(before["main"]), seconds)
    return {"back": back, "seconds": took, "left": _session(before["main"])}


def _session(leader: int) -> list[int]:
    """The processes that a main process started, and itself; also after it has died."""
    found = ((path.parent.name, _status(path)) for path in Path("/proc").glob("[0-9]*/stat"))
    return [int(pid) for pid, status in found if status and status[0] != "Z" and status[SESSION] == str(leader)]


def _status(path: Path) -> list[str]:
    try:
        return path.read_text().rpartition(")")[2].split()
    except OSError:
        return []
