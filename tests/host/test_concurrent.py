"""Two runs at the same time: one works, the other says who does, or waits."""

from __future__ import annotations

import getpass
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.host.conftest import ROOT, Site


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
