"""A deploy whose connection is lost: the host finishes alone, and what it said can be had again, with its exit code."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.host.conftest import Outcome, Site
from tests.host.test_interrupts import APPLIER, at_rest, await_progress, interrupted, start

TRYING = "on a private socket"
LIMIT_SECONDS = 30
SESSIONS = "pkill -%s -f 'sshd: [^/]*@notty'"
SLOW = "import time\n\ntime.sleep(2)\napp = create_app()"


@pytest.fixture(scope="module")
def slow(fresh: Site) -> Site:
    """A host with an app that takes two seconds to start, so that a deploy can be met on its way."""
    fresh.edit("app/wsgi.py", "app = create_app()", SLOW)
    fresh.invoke("deploy")
    return fresh


@pytest.fixture
def changing(slow: Site) -> Site:
    """That host, with a change to deploy."""
    slow.edit("app/wsgi.py", SLOW, "\n" + SLOW)
    return slow


def told(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What people would see of events; the last is the end."""
    shown = [event for event in events if event["event"] in ("progress", "resource", "cutover", "failed", "end")]
    return [{key: value for key, value in event.items() if key != "t"} for event in shown]


def last_run(site: Site) -> dict[str, Any]:
    """What `status` says of the last run."""
    [run] = site.invoke("status").of("run")
    return run


def lost(site: Site, *, how: str) -> Outcome:
    """A deploy whose session on the host meets with something on its way: how it ends, which must be soon."""
    deploy = start(site)
    await_progress(deploy, TRYING)
    site.shell(how)
    output, errors = deploy.communicate(timeout=LIMIT_SECONDS)
    return Outcome(deploy.returncode, output, errors)


def test_a_lost_deploy_is_followed_to_its_end(changing: Site) -> None:
    """The error names the command; it shows what the lost deploy would have shown, from the beginning."""
    outcome = lost(changing, how=SESSIONS % "KILL")
    [error] = outcome.of("error")
    assert (outcome.code, "outcome unknown" in error["what"]) == (4, True)
    run = last_run(changing)
    assert run["state"] == "under way"
    assert f"invoke deploy --attach {run['run']} --host box -i " in error["hint"]
    attached = changing.invoke("deploy", "--attach", run["run"])
    assert [event["release"] for event in attached.of("cutover")] == changing.serving()
    assert "release hello" in " ".join(attached.changed)
    again = changing.invoke("deploy", "--attach", "last")
    assert told(again.events) == told(attached.events)
    assert last_run(changing)["state"] == "done"
    assert changing.invoke("deploy").changed == []


def test_ctrl_c_names_the_run(changing: Site) -> None:
    """Who gives up following is told how to follow again; the beginning of the name is enough."""
    deploy = start(changing)
    await_progress(deploy, TRYING)
    said = interrupted(deploy)
    run = last_run(changing)["run"]
    assert f"to follow it: invoke deploy --attach {run} --host box" in said
    changing.invoke("deploy", "--attach", run[:-2])


def test_a_deploy_that_failed(slow: Site) -> None:
    """Its error and its exit code come again; `status` has both."""
    slow.edit("app/wsgi.py", SLOW, "raise SystemExit('no luck')")
    failed = slow.invoke("deploy", expect=1)
    again = slow.invoke("deploy", "--attach", "last", expect=1)
    assert told(again.events) == told(failed.events)[-len(told(again.events)) :]
    run = last_run(slow)
    assert (run["state"], run["exit"], run["what"]) == ("failed", 1, failed.of("failed")[0]["what"])
    slow.edit("app/wsgi.py", "raise SystemExit('no luck')", SLOW)


def test_a_run_that_was_killed(changing: Site) -> None:
    """Nobody claims to know the end of a run that had none: exit code 4, and a deploy does the rest."""
    assert lost(changing, how=f"pkill -KILL -f '{APPLIER}'").code == 4
    [failed] = changing.invoke("deploy", "--attach", "last", expect=4).of("failed")
    assert "killed before its end" in failed["what"] and "deploy again" in failed["hint"]
    assert last_run(changing)["state"] == "killed before its end"
    changing.invoke("deploy")
    assert last_run(changing)["state"] == "done"


def test_a_host_that_freezes(changing: Site) -> None:
    """sshd stops in mid-deploy: noticed within 30 s; the host finishes alone, and that can be seen afterwards."""
    outcome = lost(changing, how=SESSIONS % "STOP")
    [error] = outcome.of("error")
    assert (outcome.code, "--attach" in error["hint"]) == (4, True)
    assert "Traceback" not in outcome.stderr
    assert changing.invoke("deploy", "--attach", "last").of("cutover")
    changing.shell(SESSIONS % "CONT")
    at_rest(changing)


def test_a_run_that_is_not_there(slow: Site) -> None:
    """The runs that there are are named."""
    run = last_run(slow)["run"]
    [failed] = slow.invoke("deploy", "--attach", "nine", expect=1).of("failed")
    assert "no run nine of hello" in failed["what"] and run in failed["hint"]


@pytest.mark.parametrize("options", [["last", "--check"], ["last", "--wait", "5"], [""]], ids=" ".join)
def test_options_that_make_no_sense(slow: Site, options: list[str]) -> None:
    """A name is needed, and nothing that belongs to a deploy of one's own; no host is asked."""
    refused = slow.invoke("deploy", "--attach", *options, expect=3)
    assert [event["event"] for event in map(json.loads, refused.stdout.splitlines())] == ["error"]
