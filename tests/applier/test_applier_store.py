"""The store of releases, its history, and what pruning takes away."""

from __future__ import annotations

import json
import os
import shutil
import sys
from itertools import count

import pytest

from carboy.applier.host import STATE, Host
from carboy.applier.prune import amount, forget, prune
from carboy.applier.store import Store
from tests.support.trees import fill, snapshot


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
    assert said.startswith("5 releases and 0 venvs: 0.")


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


def killed_while_pruning(store: Store, steps: int) -> bool:
    """Prune in a process that is killed after so many removals; whether it came that far."""
    child = os.fork()
    if not child:
        left = iter(range(steps))
        sys.addaudithook(
            lambda event, _: os._exit(9) if event in ("os.remove", "os.rmdir") and next(left, None) is None else None
        )
        prune(store, release(3), keep=2)
        os._exit(0)
    return bool(os.waitpid(child, 0)[1])


def test_a_kill_in_the_middle_leaves_nothing_that_looks_complete(store: Store) -> None:
    """At each single removal: what stays is whole, what is marked complete is whole, and the next one ends it."""
    add(store, release(8), venv="v2")
    served(store, 1, 8, 2, 3)
    shutil.copytree(store.home, store.home.with_name("whole"), symlinks=True)
    for steps in count():
        shutil.rmtree(store.home)
        shutil.copytree(store.home.with_name("whole"), store.home, symlinks=True)
        killed = killed_while_pruning(store, steps)
        assert {release(2), release(3)} <= set(store.all())
        for name in store.all():
            assert {"release.json", "venv", "tree", "tree/app.py"} <= set(snapshot(store.path(name)))
            assert {"carboy.json", "bin/python"} <= set(snapshot((store.path(name) / "venv").resolve()))
        for mark in store.home.glob("venvs/*/carboy.json"):
            assert (mark.parent / "bin/python").exists()
        prune(store, release(3), keep=2)
        assert (left(store), left(store, "venvs")) == ([release(2), release(3)], ["v1"])
        if not killed:
            break
    assert steps > 20


def test_the_venv_that_a_release_was_built_with_stays(store: Store) -> None:
    """If somebody turned a link, neither the venv that it leads to nor the one that belongs there goes."""
    add(store, release(8), venv="v2")
    fill(store.home / "venvs/other", {"carboy.json": "{}"})
    fill(store.home / "venvs/unused", {"carboy.json": "{}"})
    (store.path(release(8)) / "venv").unlink()
    (store.path(release(8)) / "venv").symlink_to("../../venvs/other")
    prune(store, release(8), keep=2)
    assert left(store, "venvs") == ["other", "v2"]


def test_what_is_freed_is_counted_once(store: Store) -> None:
    """Two names of one file are one file; one whose other name stays frees nothing but that name."""
    folder = store.home / "venvs/links"
    fill(folder, {"a": "x" * 100_000, "kept": "x" * 100_000})
    (folder / "b").hardlink_to(folder / "a")
    (store.home / "elsewhere").hardlink_to(folder / "kept")
    size, inodes = amount([folder])
    assert (100_000 <= size < 150_000, inodes) == (True, 2)


def test_venvs_and_bytes_that_nothing_uses_go(store: Store, host: Host) -> None:
    """A venv goes with its last release; shipped bytes stay only if a venv that stays was made of them."""
    add(store, release(8), venv="v2")
    fill(host.at(STATE), {"blobs/blob-v1": "", "blobs/blob-v2": "", "blobs/tree-file": "", "blobs/x.part": ""})
    add(store, release(9), venv="v2")
    served(store, 1, 8, 9)
    prune(store, release(9), keep=2)
    forget(host, store.app)
    assert left(store, "venvs") == ["v2"]
    assert [path.name for path in (host.at(STATE) / "blobs").iterdir()] == ["blob-v2"]


def test_other_apps_keep_what_was_shipped_for_them(host: Host) -> None:
    """A deploy of one app leaves alone what another app's run has received and not yet used."""
    fill(host.at(STATE), {"blobs/other/half-way.part": "", "blobs/app/tree-file": ""})
    host.blobs = host.at(STATE) / "blobs/app"
    forget(host, "app")
    assert [path.name for path in (host.at(STATE) / "blobs").glob("*/*")] == ["half-way.part"]
