"""What happens when the app dies, hangs or is stopped. Each check disturbs it for a while, and leaves it serving."""

from __future__ import annotations

from typing import Any

import pytest
from testinfra.host import Host

from carboy.verify import judge
from carboy.verify.target import Record, Target
from tests.verify.cron.conftest import Watched

pytestmark = [pytest.mark.kills, pytest.mark.usefixtures("disturbed")]
DEAD_SECONDS, HANGING_SECONDS = 65, 130
CHECKS = 2


def test_killed_main_process(target: Target, watched: Watched, record_property: Record) -> None:
    """kill -9 of the main process: its keeper has it started anew at once, and nothing of it is left."""
    _back(target, _disturb(target, watched, "watchdog.killed", DEAD_SECONDS, "main"), DEAD_SECONDS, record_property)


def test_killed_with_its_keeper(target: Target, watched: Watched, record_property: Record) -> None:
    """kill -9 of the main process and the keeper: cron starts both within 65 s, though orphans still hold the port."""
    found = _disturb(target, watched, "watchdog.killed", DEAD_SECONDS, "keeper", "main")
    _back(target, found, DEAD_SECONDS, record_property)


def test_hanging(target: Target, watched: Watched, record_property: Record) -> None:
    """All of its processes stop where they are: cron finds it by its health path, and another one serves in 130 s."""
    _back(target, _disturb(target, watched, "watchdog.hanging", HANGING_SECONDS), HANGING_SECONDS, record_property)


def test_stopped_by_hand(host: Host, target: Target, watched: Watched) -> None:
    """Who stops it by hand has it stopped, whatever cron looks at; a start brings it back."""
    target.output("%s stop", watched.control)
    for _ in range(CHECKS):
        said = target.output("%s cron-check", watched.control)
        judge.holds(not said, f"a check that has nothing to do says: {said}")
    judge.same({"status": host.run("%s status", watched.control).rc}, {"status": 3}, watched.control)
    judge.same({"answer": target.answers()[0]["status"]}, {"answer": 0}, target.app.listen, f"ss -lp; {target.repair}")
    target.output("%s start", watched.control)
    judge.same({"answer": target.answers()[0]["status"]}, {"answer": 200}, target.app.health, target.repair)


def _disturb(target: Target, watched: Watched, question: str, *more: object) -> dict[str, Any]:
    seconds, *whom = more
    found: dict[str, Any] = target.ask(question, watched.record, target.app.listen, target.app.health, seconds, *whom)
    return found


def _back(target: Target, found: dict[str, Any], limit: int, record_property: Record) -> None:
    judge.holds(found["back"], f"not back within {limit} s", f"{target.app.home}/control status")
    judge.none([str(pid) for pid in found["left"]], "processes of the old instance are left", "kill -9 these")
    record_property("back after", f"{found['seconds']:.1f} s")
