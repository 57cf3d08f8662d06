"""The receipt of a cutover on a real host: zero failures where there are none, and a way back where there is one."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.host.conftest import ROOT, Site

LINE = re.compile(r"receipt: (\d+) requests, 0 failed · p99 before \d+ ms, during \d+ ms, after \d+ ms$", re.MULTILINE)


@pytest.fixture(scope="module", params=["0.0.0.0:8000", "/run/hello.sock"], ids=["tcp", "unix"])
def asked(fresh: Site, request: pytest.FixtureRequest) -> Site:
    """A host with two releases of the app on either kind of socket; 16 clients will ask for what takes 0.1 s."""
    fresh.variables.update(app_listen=request.param, release_receipt_path="/test", release_receipt_clients=16)
    fresh.invoke("deploy", "--receipt")
    return fresh


def test_a_first_deploy_has_nothing_before_it(fresh: Site) -> None:
    """Where nothing served, the receipt begins with the first answer, of the health path as long as none is named."""
    [receipt] = fresh.invoke("deploy", "--receipt").of("receipt")
    assert (receipt["path"], receipt["clients"], receipt["failed"]) == ("/health", 4, 0)
    assert receipt["phases"]["before"]["requests"] == 0 < receipt["phases"]["after"]["requests"]


def test_nothing_is_dropped(asked: Site) -> None:
    """A deploy and a rollback under 16 clients fail none of their requests, before, during and after the cutover."""
    asked.edit("app/wsgi.py", "app = create_app()", "app = create_app()\n")
    for verb in ("deploy", "rollback"):
        outcome = asked.invoke(verb, "--receipt")
        [receipt] = outcome.of("receipt")
        phases = receipt["phases"].values()
        assert (receipt["failed"], receipt["failures"]) == (0, [])
        assert all(phase["requests"] > 16 and 100 <= phase["p50"] <= phase["p99"] for phase in phases)
        assert receipt["requests"] == sum(phase["requests"] for phase in phases)
        assert asked.serving() == [outcome.of("cutover")[0]["release"]]


def test_a_line_for_people(asked: Site) -> None:
    """Who types the command reads one line with the count and the slowest hundredth of each phase."""
    command = [word for word in asked.command("rollback", "--receipt") if word != "--json"]
    done = subprocess.run(command, cwd=ROOT, env=asked.env, capture_output=True, text=True)
    found = LINE.search(done.stderr)
    assert found and int(found[1]) > 48, done.stderr


def test_a_failed_request_is_a_breach(asked: Site) -> None:
    """A release that is healthy and fails what the receipt asks for does not stay, and the error says why."""
    assert "answered 500" in breach(asked, "raise RuntimeError")


def test_no_receipt_unless_wanted(asked: Site) -> None:
    """Without the option nobody asks."""
    assert asked.invoke("rollback").of("receipt") == []


def test_a_request_that_hangs_is_a_breach(fresh: Site) -> None:
    """So is a request without an answer, which is waited for ten seconds: at one kind of socket alone."""
    assert "no answer within" in breach(fresh, "time.sleep(12)")


def breach(site: Site, broken: str) -> str:
    """Deploy what fails the receipt, and return what is said of it; what served before must serve again."""
    before = site.serving()
    site.edit("app/factory.py", "time.sleep(0.1)", broken)
    # However many of its answers are errors, the receipt alone is to judge.
    outcome = site.invoke("deploy", "--receipt", "-e", "release_max_errors=100", expect=1)
    site.edit("app/factory.py", broken, "time.sleep(0.1)")
    [receipt], [failed] = outcome.of("receipt"), outcome.of("failed")
    assert receipt["failed"] > 0
    assert "receipt" in failed["what"]
    assert site.serving() == before
    return str(failed["what"])
