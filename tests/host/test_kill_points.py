"""SIGKILL after events of a deploy and of a rollback, and at random moments: all the time a whole release serves.

The long form, at every event and effect of more scenarios, is `make soak`; docs/reliability.md says how to repeat one
point.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from random import Random

import pytest

from tests.host.conftest import Site
from tests.support.faults import Point, Walk, effects, events, moments
from tests.support.load import load

SEED = os.environ.get("CARBOY_SEED") or secrets.token_hex(4)
EVENTS, SAMPLE = 6, 2


@pytest.fixture(scope="module")
def walk(fresh: Site) -> Walk:
    """A host on which one release serves and another one served before."""
    print(f"CARBOY_SEED={SEED}")
    fresh.variables |= {"release_keep": 2, "release_watch": "200ms"}
    fresh.invoke("deploy")
    made = Walk(fresh)
    made.count("line")
    return made


def harmless(walk: Walk, points: Iterable[Point]) -> None:
    """Walk the points under load; everything must hold at each of them."""
    with load(walk.site.port, clients=4) as result:
        for point in points:
            walk.harm(point)
    walk.blame(result.failures)
    assert result.requests
    found, walk.problems = walk.problems, []
    assert not found, f"CARBOY_SEED={SEED}\n" + "\n".join(found)


@pytest.mark.parametrize("scenario", ["line", "rollback"])
def test_killed_after_an_event(walk: Walk, scenario: str) -> None:
    """Whatever was said last, nothing is half done: no request fails, and the next deploy converges."""
    points = events(scenario, walk.count(scenario).report)
    assert points
    harmless(walk, Random(SEED + scenario).sample(points, min(EVENTS, len(points))))


@pytest.mark.parametrize("scenario", ["line", "requirements", "rollback"])
def test_killed_anywhere(walk: Walk, scenario: str) -> None:
    """Before an effect, or at a moment inside one; only what works, only what waits for it, or all of it."""
    random = Random(SEED + scenario)
    report = walk.count(scenario).report
    some = random.sample(effects(scenario, report), SAMPLE)
    harmless(walk, [*some, *islice(moments(scenario, report, random), SAMPLE)])


def test_a_kill_is_a_kill(walk: Walk) -> None:
    """The harm is really done: the run ends without its last word, and a deploy has the same work again."""
    walk.site.edit("app/wsgi.py", "app = create_app()", "app = create_app()\n")
    ended = walk.through(Point("line", "alone", 3).order, "deploy")
    found = walk.look(2.0)
    assert (ended.code, found.struck, found.count("alone")) == (4, True, 3)
    assert not ended.of("end")
    assert walk.site.invoke("deploy").of("cutover")


def test_a_damaged_release_is_seen(walk: Walk) -> None:
    """The look at the host would notice a release that is not what it says, and a lock that is still held."""
    [serving] = walk.site.serving()
    code = f"/srv/hello/releases/{serving}/tree/app/wsgi.py"
    walk.site.shell(f"cp -p {code} /run/saved; echo >>{code}")
    assert walk.look(0, "rest").problems == [f"/srv/hello/releases/{serving} is not what its manifest says"]
    walk.site.shell(f"cp -p /run/saved {code}; rm /run/saved")
    assert walk.look(0, "rest").problems == []


@pytest.mark.parametrize("scenario", ["line", "rollback"])
def test_rebooted_in_the_middle(walk: Walk, scenario: str) -> None:
    """A host that loses its power during a switch comes up serving, and the next deploy converges."""
    points = [point for point in effects(scenario, walk.count(scenario).report) if point.at == "alone"]
    walk.reboot(replace(Random(SEED + scenario).choice(points), how="stop"))
    harmless(walk, [])
