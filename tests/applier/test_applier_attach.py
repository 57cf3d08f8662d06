"""Attaching to a run: its events again, from its file, to its end; and what is known of a run that had none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from carboy.applier.attach import Unknown, attach
from carboy.applier.host import STATE, Host
from carboy.applier.resource import Failure
from carboy.applier.runs import runs
from carboy.applier.stream import Disconnected
from tests.support.controller import Controller

ROOT = Path(__file__).parents[2]
BEGIN = {
    "event": "begin",
    "t": 0.1,
    "app": "hello",
    "verb": "deploy",
    "who": "anna",
    "where": "laptop",
    "since": "noon",
}
TOLD = {"event": "progress", "t": 0.2, "text": "on it"}
FAILED = {"event": "failed", "t": 0.3, "what": "no luck", "details": "", "hint": ""}
LIVE = """
import sys
from carboy.applier import host, session, stream
args = {"app": "hello", "verb": "deploy", "run": "r1", "holder": {"who": "anna", "run": "r1"}}
alive = host.Host(stream.Stream(sys.stdin.buffer, 1), root=sys.argv[1], args=args)
session._record(alive)
alive.stream.emit("begin", app="hello", verb="deploy", run="r1")
alive.stream.record.write('{"event": "progress", "te')
alive.stream.record.flush()
sys.stdin.readline()
alive.stream.record.write('xt": "late"}\\n')
alive.stream.record.flush()
alive.stream.emit("end", exit=6)
"""


def left(host: Host, name: str, *events: dict[str, Any], tail: str = "") -> None:
    """Leave the file of a run whose process is gone; each is younger than the one before."""
    path = host.at(STATE) / "runs" / f"{name}.ndjson"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({**event, "run": name}) + "\n" for event in events) + tail)
    age = len(list(path.parent.iterdir()))
    os.utime(path, (age, age))


def end(code: int) -> dict[str, Any]:
    """The last event."""
    return {"event": "end", "t": 1.0, "exit": code}


def follow(host: Host, name: str = "last") -> int:
    """Attach to a run of the app hello."""
    return attach(host, {"app": "hello", "name": name})


@pytest.fixture
def live(host: Host) -> Iterator[subprocess.Popen[bytes]]:
    """A run that has begun, and ends with 6 as soon as its stdin does."""
    command = [sys.executable, "-c", LIVE, str(host.root)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline()
        yield process
        process.kill()


@pytest.mark.parametrize("code", [0, 1, 6])
def test_the_events_of_a_run_that_ended(host: Host, controller: Controller, code: int) -> None:
    """They come again as they were, with their times, and the code is that of the run; the end is the caller's."""
    left(host, "r1", BEGIN, TOLD, FAILED, end(code))
    assert follow(host) == code
    controller.close()
    assert controller.events == [{**event, "run": "r1"} for event in (BEGIN, TOLD, FAILED)]


def test_a_run_under_way_is_followed(host: Host, controller: Controller, live: subprocess.Popen[bytes]) -> None:
    """What it says after somebody attached arrives too, also what was half written by then; its end is the end."""
    assert live.stdin
    Timer(0.3, live.stdin.close).start()
    assert follow(host) == 6
    controller.close()
    assert [event["event"] for event in controller.events] == ["begin", "progress"]


def test_a_run_that_is_killed_meanwhile(host: Host, live: subprocess.Popen[bytes]) -> None:
    """It holds nobody up: the outcome is unknown, with exit code 4 and what to do."""
    Timer(0.3, live.kill).start()
    with pytest.raises(Unknown, match="the run was killed before its end: r1") as caught:
        follow(host)
    assert caught.value.exit_code == 4
    assert "deploy again" in caught.value.hint


@pytest.mark.usefixtures("live")
def test_whoever_attached_can_go(host: Host, controller: Controller) -> None:
    """A lost controller ends the following, not the run."""
    controller.hang_up()
    with pytest.raises(Disconnected):
        follow(host)
    assert next(runs(host, "hello")).lives()


def test_half_a_line_is_no_event(host: Host, controller: Controller) -> None:
    """Neither a last line that was cut nor a damaged one in the middle is taken for an event, or raises."""
    left(host, "r1", BEGIN, TOLD, tail='{"event": "prog\n' + json.dumps(end(0)) + '\n{"event": "en')
    assert follow(host) == 0
    controller.close()
    assert [event["event"] for event in controller.events] == ["begin", "progress"]


def test_which_run(host: Host) -> None:
    """A whole name, its beginning if there is but one, or `last`: the youngest by the host's clock."""
    for code, name in enumerate(("20300101-b", "20260101-a", "20260102-c")):
        left(host, name, BEGIN, end(code))
    assert [follow(host, name) for name in ("20300101-b", "2030", "20260102", "last")] == [0, 0, 2, 2]


def test_a_name_that_fits_several(host: Host) -> None:
    """Nothing is guessed: they are shown with what they are."""
    left(host, "20260101-a", BEGIN, end(0))
    left(host, "20260102-b", BEGIN, FAILED, end(1))
    with pytest.raises(Failure, match="2 runs of hello begin with 2026") as caught:
        follow(host, "2026")
    assert "20260102-b (deploy by anna from laptop, failed), 20260101-a" in caught.value.hint


@pytest.mark.parametrize("name", ["nine", "last"])
def test_a_run_that_is_not_there(host: Host, name: str) -> None:
    """Other apps' runs do not count, nor files that are none; those of the app are named, or that there is none."""
    left(host, "nine", {**BEGIN, "app": "other"}, end(0))
    left(host, "last", TOLD, end(0))
    with pytest.raises(Failure, match=f"no run {name} of hello") as caught:
        follow(host, name)
    assert (caught.value.exit_code, "none" in caught.value.hint) == (1, True)
    left(host, "one", BEGIN)
    with pytest.raises(Failure) as caught:
        follow(host, "nine")
    assert "one (deploy by anna from laptop, killed before its end)" in caught.value.hint


@pytest.mark.parametrize(
    ("events", "known"),
    [
        ([end(0)], {"state": "done", "exit": 0, "what": ""}),
        ([FAILED, end(1)], {"state": "failed", "exit": 1, "what": "no luck"}),
        ([TOLD], {"state": "killed before its end"}),
    ],
    ids=["done", "failed", "killed"],
)
def test_how_a_run_ended(host: Host, events: list[dict[str, Any]], known: dict[str, Any]) -> None:
    """What `status` says of the last run: what it was, whose, and how it ended."""
    left(host, "r1", BEGIN, *events)
    whose = {"run": "r1", "verb": "deploy", "who": "anna", "where": "laptop", "since": "noon"}
    assert next(runs(host, "hello")).about() == {**whose, **known}


@pytest.mark.usefixtures("live")
def test_a_run_is_under_way_while_its_process_lives(host: Host) -> None:
    """No end yet, and nobody claims that it was killed."""
    assert next(runs(host, "hello")).about()["state"] == "under way"
