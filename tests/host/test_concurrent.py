"""Two runs at the same time: one works, the other says who does, or waits."""

from __future__ import annotations

import getpass
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.host.conftest import ROOT, Outcome, Site
from tests.host.test_interrupts import APPLIER, at_rest
from tests.support.load import load

MANY = 10
QUEUE = 4


@contextmanager
def running(site: Site, until: str) -> Iterator[subprocess.Popen[str]]:
    """Have a deploy run whose progress has reached a text."""
    with subprocess.Popen(site.command("deploy"), cwd=ROOT, env=site.env, stdout=subprocess.PIPE, text=True) as deploy:
        assert deploy.stdout
        assert any(until in json.loads(line).get("text", "") for line in deploy.stdout), "never got there"
        yield deploy
        deploy.communicate()


@pytest.fixture(scope="module")
def slow(fresh: Site) -> Site:
    """A host and an app that takes two seconds to start."""
    fresh.edit("app/wsgi.py", "app = create_app()", "import time\n\ntime.sleep(2)\napp = create_app()")
    return fresh


def test_the_second_is_told_who_holds_the_lock(slow: Site) -> None:
    """It exits 5 with the holder's name, machine and run, and changes nothing; a plan needs no lock."""
    with running(slow, "on a private socket") as first:
        [failed] = slow.invoke("deploy", expect=5).of("failed")
        slow.invoke("plan", expect=2)
    assert first.returncode == 0
    assert f"{getpass.getuser()} from " in failed["what"] and ", run 2" in failed["what"]
    assert slow.invoke("deploy").changed == []


def test_the_second_waits(slow: Site) -> None:
    """With --wait it says for whom it waits, and then finds everything done."""
    slow.variables["gunicorn_keepalive"] = 3
    with running(slow, "on a private socket") as first:
        second = slow.invoke("deploy", "--wait", "30")
    assert first.returncode == 0
    assert any("waiting for the lock, held by " in event["text"] for event in second.of("progress"))
    assert second.changed == []


def test_the_lock_of_a_killed_run_is_free(slow: Site) -> None:
    """kill -9 of the holder, and the next deploy has the lock at once; a killed controller keeps it for the host."""
    slow.variables["gunicorn_keepalive"] = 50
    with running(slow, "on a private socket") as first:
        slow.shell(f"pkill -KILL -f '{APPLIER}'")
        assert slow.invoke("deploy").changed
    assert first.returncode == 4
    slow.variables["gunicorn_keepalive"] = 51
    with running(slow, "on a private socket") as first:
        first.kill()
        slow.invoke("deploy", expect=5)
        at_rest(slow)
        assert slow.invoke("deploy").changed == []


@pytest.fixture(scope="module")
def quick(slow: Site) -> Site:
    """That host, with the app starting at once."""
    slow.edit("app/wsgi.py", "time.sleep(2)", "")
    slow.invoke("deploy")
    return slow


def together(site: Site, keepalives: list[int], *options: str) -> dict[int, Outcome]:
    """Deploys at the same moment from processes of their own, each with a configuration of its own."""
    deploys = {
        keepalive: subprocess.Popen(
            site.command("deploy", "-e", f"gunicorn_keepalive={keepalive}", *options),
            cwd=ROOT,
            env=site.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for keepalive in keepalives
    }
    said = {keepalive: deploy.communicate() for keepalive, deploy in deploys.items()}
    return {keepalive: Outcome(deploys[keepalive].returncode, *said[keepalive]) for keepalive in keepalives}


def undrifted(site: Site, keepalives: list[int]) -> list[int]:
    """For which of these configurations there is nothing left to do."""
    codes = {value: site.invoke("plan", "-e", f"gunicorn_keepalive={value}", expect=None).code for value in keepalives}
    return [value for value, code in codes.items() if code == 0]


def test_many_at_the_same_moment(quick: Site) -> None:
    """One at a time works, the others are told so, no request fails, and what serves is whole and a winner's."""
    keepalives = list(range(10, 10 + MANY))
    with load(quick.port, clients=4) as result:
        outcomes = together(quick, keepalives)
    won = [value for value, outcome in outcomes.items() if outcome.code == 0]
    assert {outcome.code for outcome in outcomes.values()} <= {0, 5} and won
    assert result.failures == []
    assert all("another run holds hello" in outcome.stdout for outcome in outcomes.values() if outcome.code == 5)
    assert len(quick.serving()) == len(undrifted(quick, won)) == 1


def test_many_that_wait(quick: Site) -> None:
    """With time to wait all have their turn, one after the other, and the last one's release serves."""
    keepalives = list(range(30, 30 + QUEUE))
    with load(quick.port, clients=4) as result:
        outcomes = together(quick, keepalives, "--wait", "120")
    assert [outcome.code for outcome in outcomes.values()] == [0] * QUEUE
    assert result.failures == []
    switched = {outcome.of("cutover")[0]["release"]: value for value, outcome in outcomes.items()}
    [last] = quick.serving()
    assert len(switched) == QUEUE and undrifted(quick, [switched[last]])
    waited = [outcome for outcome in outcomes.values() if "waiting for the lock, held by " in outcome.stdout]
    assert len(waited) >= QUEUE - 1
