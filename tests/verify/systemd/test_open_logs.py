"""The log files that the processes hold open."""

from __future__ import annotations

from carboy.verify import judge
from carboy.verify.target import Target


def test_open_files(target: Target) -> None:
    """Every process writes to the log files of today, none to one that was rotated or removed."""
    files = {file for process in target.ask("look.processes", target.unit) for file in process["open"]}
    stale = {file for file in files if file.startswith(f"{target.app.logs}/") and not file.endswith(".log")}
    judge.none(sorted(stale), "still written to", f"systemctl kill --kill-who=main --signal=USR1 '{target.unit}'")
