"""Venv: built whole in place from what the controller ships, shared by requirements, rebuilt if it is half there."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import uv

from carboy.applier.host import Host
from carboy.applier.resource import Failure
from carboy.applier.venv import COMPLETE, Venv
from tests.applier.conftest import converge
from tests.support.controller import Controller
from tests.support.trees import snapshot
from tests.support.wheels import wheel


def parts(controller: Controller, *named: tuple[str, bytes]) -> bytes:
    """An answer that names blobs, which are then to be had."""
    blobs = [(name, controller.offer(data)) for name, data in named]
    return json.dumps([{"name": name, "sha256": blob.sha256, "size": blob.size} for name, blob in blobs]).encode()


@pytest.fixture
def shipped(controller: Controller) -> Controller:
    """A controller with an installer and a wheelhouse of one package."""
    controller.supply["installer"] = parts(controller, ("uv", Path(uv.find_uv_bin()).read_bytes()))
    controller.supply["wheels"] = parts(controller, wheel("demo", module="answer = 42"))
    return controller


@pytest.fixture
def venv(shipped: Controller) -> Venv:
    """A venv of that package."""
    return Venv("/srv/app/venvs", shipped.offer(b"demo==1.0\n"))


def test_the_packages_import(host: Host, venv: Venv) -> None:
    """An absent venv is asked for, built and no longer drifts; its Python has the package, with bytecode."""
    assert venv.drift(host) == {"key": (None, venv.key(host))}
    converge(host, venv)
    assert not venv.drift(host)
    path = host.at(venv.path(host))
    answer = [str(path / "bin/python"), "-c", "import demo; print(demo.answer)"]
    assert subprocess.run(answer, capture_output=True, text=True).stdout == "42\n"
    assert list(path.glob("lib/*/site-packages/__pycache__/demo.*.pyc"))


def test_a_half_built_venv_is_built_anew(host: Host, venv: Venv) -> None:
    """Without its mark a venv counts for nothing: whatever a crash left in it is gone afterwards."""
    converge(host, venv)
    path = host.at(venv.path(host))
    (path / COMPLETE).unlink()
    (path / "left-by-a-crash").touch()
    assert venv.drift(host)
    converge(host, venv)
    assert not (path / "left-by-a-crash").exists()
    assert not venv.drift(host)


def test_a_failed_installation_leaves_no_mark(host: Host, venv: Venv, shipped: Controller) -> None:
    """If the installer refuses a wheel the failure says why, and the venv does not count as complete."""
    shipped.supply["wheels"] = parts(shipped, ("demo-1.0-py3-none-any.whl", b"this is no wheel"))
    with pytest.raises(Failure) as caught:
        converge(host, venv)
    assert "demo" in caught.value.details
    assert venv.drift(host)


def test_a_vanished_python_is_drift(host: Host, venv: Venv) -> None:
    """A complete venv whose Python was removed by an upgrade of the host is built again."""
    converge(host, venv)
    (host.at(venv.path(host)) / "bin/python").unlink()
    assert venv.drift(host)


def test_reading_touches_nothing(host: Host, venv: Venv) -> None:
    """Reading drift and needs leaves the host as it is, before and after the venv was built."""
    for _ in range(2):
        before = snapshot(host.root)
        venv.drift(host), list(venv.lacks(host))
        assert snapshot(host.root) == before
        converge(host, venv)


def test_needs_come_one_after_the_other(host: Host, venv: Venv) -> None:
    """First the two questions; then what their answers name; a host that has all that asks for nothing."""
    first = list(venv.lacks(host))
    assert [next(iter(need)) for need in first] == ["installer", "wheels"]
    host.fetch(first)
    second = list(venv.lacks(host))
    assert [list(need) for need in second] == [["blob", "size"], ["blob", "size"]]
    host.fetch(second)
    assert list(venv.lacks(host)) == []


def test_the_key_is_what_decides_the_packages(host: Host, shipped: Controller) -> None:
    """Equal requirements share a venv; other requirements or another source of packages give another one."""
    one, other = shipped.offer(b"demo==1.0\n"), shipped.offer(b"demo==2.0\n")
    keys = [Venv("/v", one).key(host), Venv("/w", one).key(host), Venv("/v", other).key(host)]
    assert keys[0] == keys[1] != keys[2]
    assert Venv("/v", one, packages="index").key(host) not in keys


def test_an_absent_python_is_a_failure_with_a_hint(host: Host, shipped: Controller) -> None:
    """A Python that the host does not have is named before anything is fetched."""
    with pytest.raises(Failure, match=r"no python2\.99"):
        Venv("/v", shipped.offer(b"demo\n"), python="python2.99").drift(host)
