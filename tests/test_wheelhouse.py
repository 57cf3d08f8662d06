"""Packages resolved here for a host: which tags fit, what an answer holds, and what is said if nothing can be had."""

from __future__ import annotations

import platform
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from carboy import wheelhouse
from carboy.errors import CarboyError, FailedError
from carboy.wheelhouse import Wheelhouse, _platforms, _unresolved
from tests.support.wheels import wheel

QUESTION = {"requirements": "digest", "python": "3.11", "machine": "x86_64", "libc": ["glibc", "2.36"]}


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of the package index, and a cache of the test's own: no network."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in ("demo", "other"):
        file, data = wheel(name)
        (folder / file).write_bytes(data)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def house(text: str) -> Wheelhouse:
    """A wheelhouse of an app with these requirements."""
    return Wheelhouse({"digest": text}.__getitem__)


def test_the_answer_names_the_wheels_in_order(index: Path) -> None:
    """Each wheel with digest and size; the bytes are to be had under the digest."""
    answered = house("other\ndemo==1.0\n")
    answer = answered.wheels(QUESTION)
    assert [part["name"] for part in answer] == ["demo-1.0-py3-none-any.whl", "other-1.0-py3-none-any.whl"]
    data = (index / answer[0]["name"]).read_bytes()
    assert (answer[0]["sha256"], answer[0]["size"]) == (sha256(data).hexdigest(), len(data))
    assert Path(str(answered.blobs[answer[0]["sha256"]])).read_bytes() == data


def test_resolved_once(index: Path) -> None:
    """The same question is answered from the cache, even after the index is gone; another one is not."""
    first = house("demo\n").wheels(QUESTION)
    for file in index.iterdir():
        file.unlink()
    assert house("demo\n").wheels(QUESTION) == first
    with pytest.raises(FailedError):
        house("demo\n").wheels({**QUESTION, "python": "3.12"})


@pytest.mark.usefixtures("index")
@pytest.mark.parametrize("text", ["no-such-package\n", "demo==99\n", "demo @@@\n", "-r elsewhere.txt\n"])
def test_what_does_not_resolve_is_a_failure(text: str) -> None:
    """pip's reason in one line, exit code 1 (the host was asked), and nothing in the cache to be taken for more."""
    with pytest.raises(FailedError, match="do not resolve") as caught:
        house(text).wheels(QUESTION)
    assert caught.value.exit_code == 1
    assert len(str(caught.value).splitlines()) == 3
    assert not list((wheelhouse.folder() / "wheels").iterdir())
    assert str(wheelhouse.folder()) not in str(caught.value) and tempfile.gettempdir() not in str(caught.value)


@pytest.mark.parametrize("said", ["NewConnectionError('...')", "SSLError(1)", "x: Name or service not known"])
def test_an_index_out_of_reach_is_no_wrong_declaration(said: str) -> None:
    """Without network the requirements may be right: exit code 1, and the network is named."""
    error = _unresolved("the requirements do not resolve", f"WARNING: {said}\nERROR: No matching distribution for x\n")
    assert isinstance(error, FailedError) and "network" in error.hint


@pytest.mark.parametrize("said", ["", "\n", "no label\n", "ERROR: first\nERROR: last\n"])
def test_whatever_pip_says_becomes_one_line(said: str) -> None:
    """Even silence is an error in words."""
    error = _unresolved("failed", said)
    assert isinstance(error, CarboyError)
    assert len(str(error).splitlines()) == 3


@pytest.mark.parametrize(
    ("machine", "libc", "first", "absent"),
    [
        ("x86_64", ["glibc", "2.36"], "manylinux_2_36_x86_64", "manylinux_2_37_x86_64"),
        ("aarch64", ["glibc", "2.31"], "manylinux_2_31_aarch64", "manylinux_2_36_aarch64"),
        ("x86_64", ["", ""], "musllinux_1_2_x86_64", "manylinux2014_x86_64"),
    ],
)
def test_tags_of_a_platform(machine: str, libc: list[str], first: str, absent: str) -> None:
    """The newest tag that the host's libc can run comes first, none that needs a newer one is there."""
    tags = _platforms(machine, *libc)
    assert tags[0] == first
    assert absent not in tags
    assert all(tag.endswith(machine) for tag in tags) and tags[-1] == f"linux_{machine}"
    assert len(set(tags)) == len(tags)


def test_tags_cover_what_this_machine_itself_would_take() -> None:
    """Every Linux tag that pip would accept here is offered for a host like this one, down to the oldest in use."""
    from pip._vendor.packaging.tags import platform_tags

    ours = _platforms(platform.machine(), *platform.libc_ver())
    assert {tag for tag in platform_tags() if "linux" in tag} - set(ours) == set()


@pytest.mark.parametrize(("machine", "libc"), [("riscv64", ["glibc", "2.36"]), (platform.machine(), ["", ""])])
def test_a_foreign_platform_gets_pip(index: Path, machine: str, libc: list[str]) -> None:
    """Where this machine's uv would not run, pip's own wheel is what travels."""
    file, data = wheel("pip", "99.0")
    (index / file).write_bytes(data)
    question: dict[str, Any] = {"machine": machine, "libc": libc}
    assert [part["name"] for part in house("").installer(question)] == ["pip.whl"]


def test_the_same_platform_gets_uv() -> None:
    """A host like this machine gets this machine's uv."""
    question: dict[str, Any] = {"machine": platform.machine(), "libc": list(platform.libc_ver())}
    (part,) = house("").installer(question)
    assert part["name"] == "uv" and part["size"] > 1_000_000
