"""What a switch refuses before it looks at anything that runs."""

from __future__ import annotations

import json

import pytest

from carboy.applier.host import Host, link
from carboy.applier.name import Name
from carboy.applier.policy import Policy
from carboy.applier.resource import Failure
from carboy.applier.store import Store
from carboy.applier.switch import Switch

NEW, OLD = "20261122T153600Z-1e63d68b", "20261122T153500Z-00000000"


@pytest.fixture
def store(host: Host) -> Store:
    """An app with two releases, of which the old one is current."""
    store = Store(host, "shop")
    for name in (NEW, OLD):
        store.path(name).mkdir(parents=True)
        record(store, name, "cron")
    link(store.home / "current", "releases/" + OLD)
    return store


def record(store: Store, release: str, runtime: str) -> None:
    """Say of a release what it was made for."""
    (store.path(release) / "release.json").write_text(json.dumps({"gate": {"runtime": runtime}}))


def test_a_release_for_another_runtime(store: Store) -> None:
    """A release that was made for another runtime is refused with the way out."""
    store.host.args["runtime"] = "cron"
    record(store, NEW, "compose")
    with pytest.raises(Failure, match=f"{NEW} is a release for compose, and app_runtime is cron"):
        Switch(store, NEW, Policy())


def test_two_runtimes_never_run_one_app(store: Store) -> None:
    """An app that something else runs here is found by the first of all resources, and in a plan."""
    store.host.args["runtime"] = "cron"
    name = Name("shop", home="/srv/shop", logs="/var/log/shop")
    assert not name.drift(store.host)
    record(store, OLD, "compose")
    assert name.drift(store.host) == {"taken by": ([f"release {OLD}, which is for app_runtime compose"], [])}
    with pytest.raises(Failure, match="which is for app_runtime compose"):
        name.repair(store.host, name.drift(store.host))
