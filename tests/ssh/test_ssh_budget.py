"""What a run costs: connections, channels, execs and bytes, counted by the other side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from carboy.applier.directory import Directory
from carboy.applier.file import File
from carboy.catalog import Content
from carboy.declaration import Declaration, declare
from carboy.fleet.job import holder
from carboy.fleet.run import new_run
from carboy.inventory import load
from carboy.payload import pack
from tests.ssh.conftest import Deploy
from tests.support.ssh_server import SshServer
from tests.support.trees import OWNED, snapshot

ROOT = Path(__file__).parents[2]
BUDGET = 20_000
ONE_OF_EACH = (1, 1, 1)


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> Declaration:
    """The sandbox of the inventory that comes with Carboy."""
    monkeypatch.chdir(ROOT)
    return declare(load([ROOT / "inventory"]).select(["sandbox"])[0])


@pytest.fixture
def resources(tmp_path: Path) -> list[Any]:
    """A folder with a few files, the last of which is large."""
    folder = tmp_path / "managed"
    texts = [f"file {number}\n" for number in range(4)] + ["large " * 200_000]
    files = [File(f"{folder}/{number}", Content.of(text), **OWNED) for number, text in enumerate(texts)]
    return [Directory(str(folder), **OWNED), *files]


def payload(declared: Declaration, module: str, args: dict[str, Any], modules: tuple[str, ...] = ()) -> bytes:
    """The bytes that the verb of a module sends first."""
    run = new_run()
    return pack(module, {"app": declared.app, "run": run, "holder": holder(run), **args}, modules)


def test_an_unchanged_host_costs_one_of_each(deploy: Deploy, server: SshServer, resources: list[Any]) -> None:
    """The second run costs one connection, one channel and one exec; it asks for nothing and touches nothing."""
    assert deploy(*resources) == 0
    before = snapshot(deploy.root.parent / "managed")
    counts = server.started()
    assert deploy(*resources) == 0
    assert set(deploy.statuses.values()) == {"ok"}
    assert counts.calls == ONE_OF_EACH
    assert len(counts.stdin) <= BUDGET
    assert snapshot(deploy.root.parent / "managed") == before


def test_new_bytes_travel_on_the_same_channel(deploy: Deploy, server: SshServer, resources: list[Any]) -> None:
    """A first run with a megabyte of content still costs one of each, and each byte once."""
    counts = server.started()
    assert deploy(*resources) == 0
    assert set(deploy.statuses.values()) == {"changed"}
    assert counts.calls == ONE_OF_EACH
    assert 1_200_000 < len(counts.stdin) < 1_200_000 + BUDGET
    assert list((deploy.root / "var/lib/carboy/blobs").glob("*/*")) == [], "shipped bytes have no use afterwards"


def test_only_what_changed_travels(deploy: Deploy, server: SshServer, resources: list[Any]) -> None:
    """One changed line of one file does not send the others again."""
    deploy(*resources)
    Path(resources[1].path).write_text("spoiled")
    counts = server.started()
    assert deploy(*resources) == 0
    assert list(deploy.statuses.values()).count("changed") == 1
    assert counts.calls == ONE_OF_EACH
    assert len(counts.stdin) <= BUDGET


def test_check_changes_nothing_and_asks_for_nothing(deploy: Deploy, server: SshServer, resources: list[Any]) -> None:
    """A plan says what a deploy would change, within the same budget, and leaves no trace on the host."""
    deploy.root.mkdir()
    counts = server.started()
    assert deploy(*resources, check=True) == 0
    assert set(deploy.statuses.values()) == {"changed"}
    assert counts.calls == ONE_OF_EACH
    assert len(counts.stdin) <= BUDGET
    assert list(deploy.root.iterdir()) == []
    assert not (deploy.root.parent / "managed").exists()


def test_a_diff_needs_the_bytes_and_leaves_none(deploy: Deploy, server: SshServer, resources: list[Any]) -> None:
    """With --diff the new text travels to be compared, still in one exec; afterwards the host is as it was."""
    deploy.root.mkdir()
    counts = server.started()
    assert deploy(*resources, check=True, diff=True) == 0
    assert "+file 0" in "".join(event.get("diff", "") for event in deploy.events)
    assert counts.calls == ONE_OF_EACH
    assert not [path for path in deploy.root.rglob("*") if path.is_file()]
    assert not (deploy.root.parent / "managed").exists()


def test_the_real_catalog_fits_the_budget(declared: Declaration) -> None:
    """All roles of the inventory that comes with Carboy, with the code that applies them, fit in 20 kB."""
    modules = declared.catalog.modules
    args = {"catalog": declared.catalog.wire(), "check": False, "diff": False, "wait": 0}
    assert len(payload(declared, "apply", args, modules)) <= BUDGET


@pytest.mark.parametrize(
    ("module", "args"),
    [
        ("inspect", {"verb": "status"}),
        ("inspect", {"verb": "history"}),
        ("attach", {"verb": "attach", "name": "last"}),
        ("rollback", {"to": "", "check": False, "wait": 0, "policy": {"watch": 1.0, "keep": 5}}),
        ("logs", {"file": "/var/log/hello/error.log", "follow": True, "lines": 50}),
    ],
    ids=["status", "history", "attach", "rollback", "logs"],
)
def test_every_other_verb_fits_the_budget(declared: Declaration, module: str, args: dict[str, Any]) -> None:
    """status, history, rollback and logs send 20 kB at most."""
    assert len(payload(declared, module, args)) <= BUDGET
