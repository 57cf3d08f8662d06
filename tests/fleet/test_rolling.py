"""A rolling deploy: its batches, how many hosts may fail, and which go back."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fleet.conftest import NEW, OLD

MakeFleet = Any


def names(first: int, last: int) -> list[str]:
    """The hosts from one number to another."""
    return [f"h{number}" for number in range(first, last + 1)]


@pytest.mark.parametrize(
    ("serial", "sizes"),
    [
        ((1, "25%", "100%"), [1, 10, 29]),
        ((1,), [1] * 40),
        (("100%",), [40]),
        (("30%",), [12, 12, 12, 4]),
        ((3, "50%"), [3, 20, 17]),
        ((50,), [40]),
        (("1%",), [1] * 40),
        ((0, "100%"), [1, 39]),
    ],
)
def test_batches(make_fleet: MakeFleet, serial: tuple[Any, ...], sizes: list[int]) -> None:
    """The last size holds for all further batches; a percentage is of the hosts to change, and one at least."""
    fleet = make_fleet(40)
    run = fleet.roll(*serial, forks=8)
    assert [len(batch) for batch in fleet.batches] == sizes
    assert [host for batch in fleet.batches for host in batch] == names(1, 40)
    assert (run.code, set(run.states.values())) == (0, {"ok"})


def test_only_hosts_that_differ_are_in_batches(make_fleet: MakeFleet) -> None:
    """A host with nothing to change is looked at once, with all others, and is no canary."""
    fleet = make_fleet(8, unchanged=("h1", "h3", "h5", "h7"))
    fleet.roll(1, "50%")
    assert fleet.batches == [["h2"], ["h4", "h6"], ["h8"]]
    assert [host for host, *_ in fleet.deployed] == ["h2", "h4", "h6", "h8"]


def test_a_host_that_is_down_is_found_before_any_is_changed(make_fleet: MakeFleet) -> None:
    """Nothing is begun anywhere where more hosts than allowed do not even answer; the others are left as they are."""
    fleet = make_fleet(3, down=("h3",))
    run = fleet.roll()
    assert (fleet.deployed, fleet.returned, run.code) == ([], [], 4)
    assert run.states == {"h1": "left", "h2": "left", "h3": "unreachable"}


@pytest.mark.parametrize(
    ("number", "max_fail", "tolerated"),
    [
        (8, 0, 0),
        (8, 1, 1),
        (8, 3, 3),
        (8, "25%", 2),
        (8, "24%", 1),
        (5, "10%", 0),
        (8, "100%", 8),
        (8, 99, 8),
        (8, "0%", 0),
    ],
)
def test_how_many_may_fail(make_fleet: MakeFleet, number: int, max_fail: int | str, tolerated: int) -> None:
    """It goes on with so many failures, and stops with one more."""
    failing = tuple(names(1, number))
    fleet = make_fleet(number, failing=failing)
    run = fleet.roll(1, max_fail=max_fail)
    begun = min(tolerated + 1, number)
    assert [host for host, *_ in fleet.deployed] == list(failing[:begun])
    left = [host for host, state in run.states.items() if state == "left"]
    assert (left, run.code) == (names(begun + 1, number), 1)


def test_a_failure_that_is_allowed_takes_nobody_back(make_fleet: MakeFleet) -> None:
    """Below the limit the others keep the new release, and the exit code still says that one failed."""
    fleet = make_fleet(4, failing=("h2",))
    run = fleet.roll(1, max_fail=1)
    assert (fleet.returned, run.code) == ([], 1)
    assert run.states == {"h1": "ok", "h2": "failed", "h3": "ok", "h4": "ok"}


def test_a_batch_that_fails_takes_all_back(make_fleet: MakeFleet) -> None:
    """Every host that has switched goes back, also those of earlier batches; the recap says how each stands."""
    fleet = make_fleet(6, failing=("h3",), unchanged=("h6",))
    run = fleet.roll(1, 2, "100%")
    assert fleet.batches == [["h1"], ["h2", "h3"]]
    assert (sorted(fleet.returned), run.code) == (["h1", "h2"], 1)
    assert run.states == {"h1": "back", "h2": "back", "h3": "failed", "h4": "left", "h5": "left", "h6": "ok"}
    [stopped] = [event for event in fleet.events if event["event"] == "stopped"]
    assert (stopped["back"], stopped["left"]) == (["h1", "h2"], ["h4", "h5"])
    assert "1 of 6 hosts failed" in stopped["text"] and "allows 0" in stopped["text"]


def test_hosts_that_were_not_begun_stay_as_they_are(make_fleet: MakeFleet) -> None:
    """Within a batch too no further host is begun once too many have failed."""
    fleet = make_fleet(5, failing=("h2",))
    run = fleet.roll("100%", forks=1)
    assert [host for host, *_ in fleet.deployed][:2] == ["h1", "h2"]
    untouched = set(names(1, 5)) - {host for host, *_ in fleet.deployed}
    assert untouched == {host for host, state in run.states.items() if state == "left"}


def test_keep_going_leaves_what_has_switched(make_fleet: MakeFleet) -> None:
    """On request no host goes back; those that were not begun stay as they are."""
    fleet = make_fleet(4, failing=("h2",))
    run = fleet.roll(1, keep_going=True)
    assert (fleet.returned, run.code) == ([], 1)
    assert run.states == {"h1": "ok", "h2": "failed", "h3": "left", "h4": "left"}


def test_a_way_back_that_fails(make_fleet: MakeFleet) -> None:
    """A host that cannot go back is exit code 6, and the others go back all the same."""
    fleet = make_fleet(3, failing=("h3",), stuck=("h1",))
    run = fleet.roll(1)
    assert (run.states, run.code) == ({"h1": "stranded", "h2": "back", "h3": "failed"}, 6)


def test_a_first_release_has_nothing_to_go_back_to(make_fleet: MakeFleet) -> None:
    """A host on which nothing served before keeps what it has, for an app that does not answer is no way back."""
    fleet = make_fleet(3, failing=("h3",), first=("h1",))
    run = fleet.roll(1)
    assert fleet.returned == ["h2"]
    assert run.states == {"h1": "ok", "h2": "back", "h3": "failed"}
    told = [event for event in fleet.events if event["event"] == "result" and event["host"] == "h1"]
    assert told[-1]["text"] == "no other release served before, so there is nothing to go back to"


def test_the_canary_is_watched_for_longer(make_fleet: MakeFleet) -> None:
    """The hosts of the first batch watch their release for as long as is asked, the others as is declared."""
    fleet = make_fleet(4, unchanged=("h1",))
    fleet.roll(1, "100%", canary_watch=30.0)
    assert fleet.watches == {"h2": 30.0, "h3": 4, "h4": 4}
    usual = make_fleet(2)
    usual.roll(1)
    assert usual.watches == {"h1": 4, "h2": 4}


def test_what_runs_once_runs_alone(make_fleet: MakeFleet) -> None:
    """A hook for all hosts runs on one that nobody is beside; every later host is told that it was run."""
    fleet = make_fleet(5, once=True)
    fleet.roll("100%")
    assert fleet.batches == [["h1"], names(2, 5)]
    assert sorted(fleet.deployed) == [("h1",), *((host, "before_cutover") for host in names(2, 5))]


def test_what_runs_once_waits_for_a_host_that_needs_it(make_fleet: MakeFleet) -> None:
    """A host that will not switch does not run it, and hosts that will are not let loose with it together."""
    fleet = make_fleet(12, once=True, beside=("h1",))
    fleet.roll(5, "100%", forks=8)
    assert fleet.batches == [["h2"], ["h1", *names(3, 6)], names(7, 12)]


def test_somebody_else_was_faster(make_fleet: MakeFleet) -> None:
    """What another run has deployed meanwhile is not taken away by the way back."""
    fleet = make_fleet(3, failing=("h3",), overtaken=("h1",))
    run = fleet.roll(1)
    assert (run.states, fleet.returned) == ({"h1": "left", "h2": "back", "h3": "failed"}, ["h2"])


def test_a_plan_is_of_all_its_hosts(make_fleet: MakeFleet) -> None:
    """However many may fail, a host that is not as it was planned keeps all others from being changed."""
    fleet = make_fleet(3, unlike=("h2",))
    run = fleet.roll(1, max_fail=2)
    assert (fleet.deployed, run.code) == ([], 1)
    assert run.states == {"h1": "left", "h2": "failed", "h3": "left"}
    told = [event for event in fleet.events if event["event"] == "result" and event["host"] == "h2"]
    assert told[0]["changed"] == 0
    [stopped] = [event for event in fleet.events if event["event"] == "stopped"]
    assert stopped["text"] == "1 of 3 hosts failed, and a saved plan is begun on all its hosts or on none"


def test_what_runs_once_is_tried_again_elsewhere(make_fleet: MakeFleet) -> None:
    """If it fails on the first host and that may be, the next host runs it, alone too."""
    fleet = make_fleet(4, once=True, failing=("h1",))
    fleet.roll("100%", max_fail=1)
    assert fleet.batches == [["h1"], ["h2"], ["h3", "h4"]]


def test_results_name_what_serves(make_fleet: MakeFleet) -> None:
    """Who reads the events learns of each host which release serves and which one did."""
    fleet = make_fleet(2, failing=("h2",))
    fleet.roll(1)
    told = {event["host"]: event for event in fleet.events if event["event"] == "result"}
    assert (told["h1"]["state"], told["h1"]["release"], told["h1"]["before"]) == ("back", OLD, NEW)
