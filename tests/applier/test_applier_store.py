"""The store of releases, its history, and what pruning takes away."""

from __future__ import annotations

import json

import pytest

from carboy.applier.host import STATE, Host
from carboy.applier.prune import forget, prune
from carboy.applier.store import Store
from tests.support.trees import fill


@pytest.fixture
def store(host: Host) -> Store:
    """An app with a venv and a few complete releases, none of which has served yet."""
    store = Store(host, "app")
    for number in range(1, 8):
        add(store, release(number))
    return store


def release(number: int) -> str:
    """The name of a release; digests differ, and times are in order."""
    return f"2026010{number}T000000Z-{number:08d}"


def add(store: Store, name: str, venv: str = "v1") -> None:
    """A complete release with its venv."""
    record = json.dumps({"digest": name.rpartition("-")[2] + "rest", "venv": venv})
    mark = json.dumps({"blobs": [f"blob-{venv}"]})
    fill(store.path(name), {"release.json": record, "tree/app.py": "x" * 1000})
    fill(store.home / "venvs" / venv, {"bin/python": "", "carboy.json": mark})
    (store.path(name) / "venv").symlink_to(f"../../venvs/{venv}")


def served(store: Store, *numbers: int, outcome: str = "healthy") -> None:
    """Switches to these releases, one after the other."""
    for number in numbers:
        store.remember(release=release(number), outcome=outcome, action="deploy")


def left(store: Store, folder: str = "releases") -> list[str]:
    """What lies in a folder of the app."""
    return sorted(path.name for path in (store.home / folder).iterdir())


def test_a_folder_without_its_record_is_no_release(store: Store) -> None:
    """What a crash left without release.json is not listed, not found and has no record."""
    (store.path(release(7)) / "release.json").unlink()
    assert store.all() == [release(number) for number in range(1, 7)]
    assert store.find("00000007rest") is None
    assert store.record(release(7)) == {}


def test_a_release_is_found_by_its_whole_digest(store: Store) -> None:
    """Eight equal digits are not enough, and of two releases with one digest the newer is taken."""
    again = "20260109T000000Z-00000003"
    add(store, again)
    assert store.find("00000003rest") == again
    assert store.find("00000003other") is None


def test_a_release_whose_venv_is_gone_is_not_found(store: Store) -> None:
    """A release that could not start any more does not count as there."""
    (store.home / "venvs/v1/bin/python").unlink()
    assert store.find("00000003rest") is None


@pytest.mark.parametrize("torn", ['{"release": "x", "outc', "", "{", '{"a": {"b": 1}', "\x00\x00\x00"])
def test_a_torn_line_of_the_history_is_passed_over(store: Store, torn: str) -> None:
    """Whatever a crash left of the last line: what was before it is read, and so is what is appended after it."""
    served(store, 1, 2)
    path = store.home / "history.jsonl"
    path.write_text(path.read_text() + torn)
    assert [record["release"] for record in store.history()] == [release(1), release(2)]
    served(store, 3)
    assert [record["release"] for record in store.history()] == [release(1), release(2), release(3)]


def test_healthy_releases_in_the_order_in_which_they_last_served(store: Store) -> None:
    """A release that was rolled back to comes last; failed switches and removed releases do not show."""
    served(store, 1, 2, 3, 1)
    served(store, 4, outcome="failed")
    served(store, 9)
    assert store.healthy() == [release(2), release(3), release(1)]


def test_prune_keeps_the_last_healthy_ones(store: Store) -> None:
    """Of five healthy releases the last two stay; it says how much went."""
    served(store, 1, 2, 3, 4, 5)
    said = prune(store, release(5), keep=2)
    assert left(store) == [release(4), release(5)]
    assert said == "0.0 MB of old releases and venvs"


def test_failed_releases_do_not_use_up_the_number_to_keep(store: Store) -> None:
    """However many deploys failed since, the healthy ones stay and the failed ones go."""
    served(store, 1, 2)
    served(store, 3, 4, 5, 6, outcome="failed")
    prune(store, release(2), keep=2)
    assert left(store) == [release(1), release(2)]


def test_the_running_release_is_never_pruned(store: Store) -> None:
    """What runs stays, even if its history was lost or others were healthy after it."""
    served(store, 2, 3, 4)
    prune(store, release(1), keep=2)
    assert left(store) == [release(1), release(3), release(4)]


def test_unfinished_folders_go(store: Store) -> None:
    """What a crash left half built is cleared away with the old releases."""
    served(store, 1)
    fill(store.home, {"releases/20260101T000001Z-half/tree/app.py": "", "venvs/half/pyvenv.cfg": ""})
    prune(store, release(1), keep=2)
    assert (left(store), left(store, "venvs")) == ([release(1)], ["v1"])


def test_venvs_and_bytes_that_nothing_uses_go(store: Store, host: Host) -> None:
    """A venv goes with its last release; shipped bytes stay only if a venv that stays was made of them."""
    add(store, release(8), venv="v2")
    fill(host.at(STATE), {"blobs/blob-v1": "", "blobs/blob-v2": "", "blobs/tree-file": "", "blobs/x.part": ""})
    served(store, 1, 8)
    prune(store, release(8), keep=1)
    forget(host, store.app)
    assert left(store, "venvs") == ["v2"]
    assert [path.name for path in (host.at(STATE) / "blobs").iterdir()] == ["blob-v2"]


def test_other_apps_keep_what_was_shipped_for_them(host: Host) -> None:
    """A deploy of one app leaves alone what another app's run has received and not yet used."""
    fill(host.at(STATE), {"blobs/other/half-way.part": "", "blobs/app/tree-file": ""})
    host.blobs = host.at(STATE) / "blobs/app"
    forget(host, "app")
    assert [path.name for path in (host.at(STATE) / "blobs").glob("*/*")] == ["half-way.part"]
