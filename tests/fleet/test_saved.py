"""Plans in files: what is read is a plan or one clear error, and what has changed since is noticed."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carboy.applier.directory import Directory
from carboy.applier.planned import agree
from carboy.applier.resource import Failure
from carboy.catalog import Catalog
from carboy.declaration import Declaration
from carboy.errors import DeclarationError, FailedError
from carboy.fleet import saved
from carboy.fleet.job import DRIFT, Job, Tally
from carboy.inventory import Host

DRIFTS = {"directory /a": {"mode": ["0700", "0755"]}}


def job(*paths: str, host: str = "h1") -> Job:
    """A deploy that wants these directories."""
    app = SimpleNamespace(name="shop", runtime="systemd")
    catalog = Catalog.of(("test", Directory(path)) for path in paths)
    return Job(Declaration(Host(host, {}, {}), (), {"app": app}), "apply", {}, catalog)


def tally(drifts: dict[str, Any], host: str = "h1") -> Tally:
    """What a host said that has these differences."""
    changed = [
        {"event": "resource", "resource": title, "status": "changed", "drift": it} for title, it in drifts.items()
    ]
    return Tally(
        host, events=[*changed, {"event": "resource", "resource": "x", "status": "ok"}], code=DRIFT * bool(drifts)
    )


@pytest.fixture
def plan(tmp_path: Path) -> saved.Saved:
    """A plan of one host, from its file."""
    saved.save(tmp_path / "plan.json", "r1", [job("/a", "/b")], [tally(DRIFTS)])
    return saved.read(tmp_path / "plan.json")


def test_what_was_shown_is_kept(plan: saved.Saved) -> None:
    """The plan comes back from its file with the differences of each host."""
    assert [*plan.hosts] == ["h1"]
    assert plan.drift(job("/a", "/b")) == [["directory /a", DRIFTS["directory /a"]]]


def test_another_declaration_is_refused(plan: saved.Saved) -> None:
    """A plan is not applied to what is declared otherwise by now; what is other is named."""
    with pytest.raises(DeclarationError, match="directory /c"):
        plan.drift(job("/a", "/c"))
    with pytest.raises(DeclarationError, match="not of host h2"):
        plan.drift(job("/a", "/b", host="h2"))


def test_what_else_differs_is_refused() -> None:
    """Only what the plan says may differ, whatever JSON made of the values; without a plan anything may."""
    agree([("a", {"mode": ("0700", "0755")}), ("b", {})], [["a", {"mode": ["0700", "0755"]}]])  # type: ignore[list-item]
    agree([("a", {"mode": ("0700", "0755")})], None)
    for found in ([("a", {"mode": ("0777", "0755")})], [("a", {}), ("b", {"x": (1, 2)})]):
        with pytest.raises(Failure, match="has changed since the plan: a"):
            agree(found, [["a", {"mode": ["0700", "0755"]}]])  # type: ignore[arg-type,list-item]


@given(
    st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["format", "hosts", "h1", "declared", "drift"]), inner, max_size=4)
            ),
            max_leaves=12,
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_any_file(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Whatever lies in the file, it is a plan or an error that names the file."""
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(data)
    try:
        saved.read(path)
    except DeclarationError as error:
        assert str(path) in error.where and error.hint


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """A plan that cannot be written is an error, and no half of a file is left."""
    with pytest.raises(FailedError, match="cannot be written"):
        saved.save(tmp_path / "none/plan.json", "r1", [job("/a")], [tally({})])
    assert list(tmp_path.iterdir()) == []


def test_where_a_plan_may_be_written(tmp_path: Path) -> None:
    """Anything but a file is left alone, a link is followed, and all that is known before hosts are asked."""
    for wrong in (tmp_path, Path("/dev/null"), tmp_path / "none/plan.json"):
        with pytest.raises(DeclarationError, match="no plan can be kept"):
            saved.place(wrong)
    (tmp_path / "link").symlink_to("real.json")
    saved.save(saved.place(tmp_path / "link"), "r1", [job("/a")], [tally({})])
    assert (tmp_path / "link").is_symlink()
    assert [*saved.read(tmp_path / "real.json").hosts] == ["h1"]
