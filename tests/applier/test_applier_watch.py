"""What the watch counts in an access log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from carboy.applier.watch import Answers

NEW, OLD = "20261122T153600Z-1e63d68b", "20261122T153500Z-00000000"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """An access log with answers of before."""
    path = tmp_path / "access.log"
    path.write_text("")
    write(path, 500, 500, release=NEW)
    return path


def write(log: Path, *statuses: int, release: str = NEW, agent: str = "curl") -> None:
    """Log one answer for each status, as the app does."""
    lines = [{"status_code": status, "user_agent": agent, "release": release} for status in statuses]
    with log.open("a") as target:
        target.writelines(json.dumps(line) + "\n" for line in lines)


def test_only_what_comes_from_now_on_counts(log: Path) -> None:
    """Answers of before, of another release and to Carboy's own questions are not counted."""
    answers = Answers(log, NEW)
    write(log, 200, 503)
    write(log, 500, release=OLD)
    write(log, 200, agent="carboy-probe")
    assert answers.count() == (1, 2)
    write(log, 404, 500)
    assert answers.count() == (2, 4)


def test_a_line_that_is_just_being_written(log: Path) -> None:
    """Half a line waits for its other half."""
    answers = Answers(log, NEW)
    line = json.dumps({"status_code": 500, "user_agent": "", "release": NEW}) + "\n"
    with log.open("a") as target:
        target.write(line[:20])
        target.flush()
        assert answers.count() == (0, 0)
        target.write(line[20:])
    assert answers.count() == (1, 1)


def test_a_rotated_log(log: Path) -> None:
    """After a rotation counting goes on in the new file from its beginning."""
    answers = Answers(log, NEW)
    write(log, 500)
    answers.count()
    log.rename(log.with_suffix(".1"))
    assert answers.count() == (1, 1)
    write(log, 500)
    assert answers.count() == (2, 2)


def test_no_log_yet(tmp_path: Path) -> None:
    """A first release has no log when it joins."""
    answers = Answers(tmp_path / "access.log", NEW)
    assert answers.count() == (0, 0)
    write(tmp_path / "access.log", 500)
    assert answers.count() == (1, 1)
