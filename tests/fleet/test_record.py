"""What is kept of runs, and what they left."""

from __future__ import annotations

import json
from typing import Any

import pytest

from carboy.console import Console
from carboy.errors import DeclarationError
from carboy.fleet import record
from carboy.fleet.run import Run

MakeFleet = Any


def test_a_run_is_kept_as_it_was_said(make_fleet: MakeFleet) -> None:
    """Every event is in the file with its host, for the user alone; the newest run comes first."""
    fleet = make_fleet(3, failing=("h2",))
    run = fleet.roll(1)
    again = make_fleet(1).roll(1)
    kinds = [event["event"] for event in fleet.events]
    assert kinds[0] == "started" and kinds[-1] == "finished"
    assert record.RUNS.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in record.RUNS.iterdir())
    assert {run.name for run in record.kept()} == {run.name, again.name}
    assert record.find(run.name).about["states"] == run.states
    assert record.find(run.name).about["exit"] == 1


def test_what_a_run_left(make_fleet: MakeFleet) -> None:
    """Hosts that failed, were left or went back are left; those that are as wanted are not."""
    make_fleet(6, failing=("h3",), unchanged=("h6",)).roll(1)
    assert record.latest("deploy", []).left == ["h1", "h2", "h3", "h4", "h5"]
    assert record.latest("status", []).left == ["h1", "h2", "h3", "h4", "h5"]


def test_a_run_that_was_killed_left_whoever_was_not_through(make_fleet: MakeFleet) -> None:
    """Without its end a run still tells which hosts were through; half a line at the end does no harm."""
    fleet = make_fleet(3)
    path = record.RUNS / f"{fleet.roll(1).name}.ndjson"
    lines = path.read_text().splitlines()
    cut = next(number for number, line in enumerate(lines) if json.loads(line).get("hosts") == ["h3"])
    path.write_text("\n".join([*lines[:cut], '{"event": "resu']))
    assert record.latest("deploy", []).left == ["h3"]
    assert record.latest("deploy", []).about["exit"] is None


def test_a_way_back_that_was_interrupted_is_left(make_fleet: MakeFleet) -> None:
    """A host that was told to go back, and of which no more was heard, is not taken for one that is as wanted."""
    fleet = make_fleet(3, failing=("h2",))
    path = record.RUNS / f"{fleet.roll(1).name}.ndjson"
    lines = path.read_text().splitlines()
    cut = next(number for number, line in enumerate(lines) if json.loads(line)["event"] == "stopped")
    path.write_text("\n".join(lines[: cut + 1]))
    assert record.latest("deploy", []).left == ["h1", "h2", "h3"]


def test_only_looking_leaves_nothing(make_fleet: MakeFleet) -> None:
    """What --failed means is not changed by a look at what is left."""
    fleet = make_fleet(2, failing=("h2",))
    fleet.roll(1)
    look = Run(Console(machine=True), "deploy", check=True)
    look.each([])
    for verb in ("deploy", "plan", "status"):
        assert record.latest(verb, []).left == ["h1", "h2"]


def test_a_disk_without_room_ends_no_deploy(make_fleet: MakeFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a run can be kept no further, it says so once and goes on."""
    fleet = make_fleet(3)
    run = Run(Console(machine=True), "deploy")
    run.begin(["h1"])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(record.Record, "keep", full)
    assert [tally.code for tally in run.each(fleet.jobs)] == [0, 0, 0]
    run.finish()


def test_only_so_many_are_kept(make_fleet: MakeFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest runs go, so that nothing fills up."""
    monkeypatch.setattr(record, "KEPT", 3)
    names = [make_fleet(1).roll(1).name for _ in range(5)]
    assert len(record.kept()) == 3
    assert names[-1] in [run.name for run in record.kept()]


def test_a_run_is_found_by_its_beginning(make_fleet: MakeFleet) -> None:
    """A name may be cut short as long as it means one run; `last` is the newest."""
    runs = sorted(make_fleet(1).roll(1).name for _ in range(2))
    assert record.find(runs[0]).name == runs[0]
    assert record.find("last").name == runs[1]
    for wrong in ("", "1999", runs[0][:2]):
        with pytest.raises(DeclarationError):
            record.find(wrong)


def test_no_run_at_all(make_fleet: MakeFleet) -> None:
    """Where nothing was deployed, --failed has nothing to go by and says so."""
    make_fleet(1)
    with pytest.raises(DeclarationError, match="no deploy is kept"):
        record.latest("deploy", [])


def test_another_inventory_is_another_fleet(make_fleet: MakeFleet) -> None:
    """What was left with one inventory is not meant with another, which may have hosts of the same names."""
    make_fleet(2, failing=("h1",)).roll(1)
    with pytest.raises(DeclarationError, match="no deploy is kept"):
        record.latest("deploy", ["/other"])
