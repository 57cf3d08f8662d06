"""The lock: one run at a time, freed however its holder ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import pytest

from carboy.applier.host import Host
from carboy.applier.lock import hold
from carboy.applier.resource import Locked
from tests.support.controller import Controller

ROOT = Path(__file__).parents[2]
MINE = {"who": "me", "where": "here", "since": "now", "run": "r1"}
OTHER = """
import io, sys
from carboy.applier import host, lock, stream
holder = {"who": "anna", "where": "laptop", "since": "noon", "run": "r7"}
lock.hold(host.Host(stream.Stream(io.BytesIO(), 1), root=sys.argv[1]), "app", holder, 0)
print("held", flush=True)
sys.stdin.read()
"""

ENDING = """
import sys
from carboy.applier import lock, session
def verb(host, args):
    host.lock = lock.hold(host, "app", {}, 0)
session.session({}, verb, sys.argv[1])
sys.stdin.read()
"""


@pytest.fixture
def other(host: Host) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the lock of the app."""
    command = [sys.executable, "-c", OTHER, str(host.root)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline() == b"held\n"
        yield process
        process.kill()


@pytest.mark.usefixtures("other")
def test_a_held_lock_names_its_holder(host: Host) -> None:
    """The second run is told who holds the lock, from where and since when, and ends with exit code 5."""
    with pytest.raises(Locked, match="another run holds app: anna from laptop since noon, run r7") as caught:
        hold(host, "app", MINE, 0)
    assert caught.value.exit_code == 5


@pytest.mark.usefixtures("other")
def test_another_app_has_a_lock_of_its_own(host: Host) -> None:
    """A run of one app does not keep out a run of another."""
    hold(host, "other", MINE, 0)


def test_a_killed_holder_frees_the_lock(host: Host, other: subprocess.Popen[bytes]) -> None:
    """After SIGKILL nothing has to be cleaned up: the next run has the lock at once and puts its own name in."""
    other.kill()
    other.wait()
    hold(host, "app", MINE, 0)
    with pytest.raises(Locked, match="me from here since now, run r1"):
        hold(host, "app", MINE, 0)


def test_waiting_ends_when_the_holder_does(host: Host, other: subprocess.Popen[bytes], controller: Controller) -> None:
    """With time to wait the run says once whom it waits for, and goes on when that one is gone."""
    Timer(0.3, other.kill).start()
    hold(host, "app", MINE, 20)
    controller.close()
    assert [event["text"] for event in controller.events] == [
        "waiting for the lock, held by anna from laptop since noon, run r7"
    ]


@pytest.mark.parametrize("written", ["", "{", '{"who": "anna"}'])
@pytest.mark.usefixtures("other")
def test_a_holder_who_wrote_nothing_yet(host: Host, written: str) -> None:
    """A lock whose holder cannot be read is still a lock."""
    (host.root / "run/carboy/app.lock").write_text(written)
    with pytest.raises(Locked, match="a run that is just starting"):
        hold(host, "app", MINE, 0)


def test_whoever_reads_of_the_end_may_begin(host: Host) -> None:
    """The lock is free with the event that ends a run, though the process that held it is still going."""
    command = [sys.executable, "-c", ENDING, str(host.root)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as ending:
        assert ending.stdout and any(b'"end"' in line for line in ending.stdout)
        hold(host, "app", MINE, 0)
        assert ending.poll() is None
