"""The lock of an app in a cluster: what its holder and those who wait for it conclude, whatever answers are lost."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace
from typing import Any

import pytest

from carboy.applier.host import Host
from carboy.applier.kubernetes import deploy as deployment
from carboy.applier.kubernetes import lease as module
from carboy.applier.kubernetes.app import App
from carboy.applier.kubernetes.apply import Comparison
from carboy.applier.kubernetes.kubectl import Kubectl
from carboy.applier.kubernetes.lease import TIME, Lease
from carboy.applier.kubernetes.manifest import Manifest
from carboy.applier.resource import Failure, Locked
from tests.kubernetes.test_kubernetes_manifests import manifests
from tests.support.controller import Controller

OTHER = "somebody from elsewhere since noon, run 2"


class Shelf:
    """The API server's part for one Lease: versions, merges, and conflicts."""

    def __init__(self) -> None:
        self.spec: dict[str, Any] | None = None
        self.version = 0
        self.written = threading.Semaphore(0)
        self.lose_answers = False
        self.asked: Callable[[], None] = lambda: None

    def call(self, kubectl: Kubectl, *arguments: str, stdin: str = "") -> CompletedProcess[str]:  # noqa: ARG002
        """What `kubectl ARGUMENTS` answers."""
        if module.KIND not in arguments and '"kind": "Lease"' not in stdin:
            return self._done("")
        if arguments[0] == "get":
            self.asked()
            meta = {"name": "carboy-hello", "resourceVersion": str(self.version)}
            return self._done("" if self.spec is None else json.dumps({"metadata": meta, "spec": self.spec}))
        change = json.loads(stdin or arguments[arguments.index("-p") + 1])
        if change["metadata"].get("resourceVersion", "0") != str(self.version):
            return self._done("", "Error from server (Conflict): the object has been modified")
        self.write(change["spec"])
        return self._done("", "Unable to connect: i/o timeout") if self.lose_answers else self._done(str(self.version))

    def write(self, spec: dict[str, Any]) -> None:
        """Have this in the Lease, as of a new version."""
        self.spec, self.version = {**(self.spec or {}), **spec}, self.version + 1
        self.written.release()

    def renewals(self, count: int) -> bool:
        """Whether it is written so many times more, which is waited for."""
        while self.written.acquire(blocking=False):
            pass
        return all(self.written.acquire(timeout=10) for _ in range(count))

    def _done(self, said: str, errors: str = "") -> CompletedProcess[str]:
        return CompletedProcess([], int(bool(errors)), said, errors)


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """A cluster that keeps one Lease."""
    kept = Shelf()
    monkeypatch.setattr(Kubectl, "call", lambda *args, **more: kept.call(*args, **more))
    return kept


@pytest.fixture
def controller() -> Controller:
    """Whoever deploys."""
    return Controller()


@pytest.fixture
def app(shelf: Shelf, controller: Controller, tmp_path: Path) -> App:  # noqa: ARG001 - it is asked
    """The app as a run of ours sees it."""
    holder = {"who": "me", "where": "here", "since": "noon", "run": "1"}
    host = Host(controller.stream, str(tmp_path), {"app": "hello", "holder": holder, "wait": 0})
    return App(Kubectl(host, "prod", "web"), "hello", 1, 1)


@pytest.fixture
def lease(app: App) -> Lease:
    """The lock of the app."""
    return Lease(app)


def behind(seconds: float) -> str:
    """The time by a clock that is so much behind."""
    return (datetime.now(UTC) - timedelta(seconds=seconds)).strftime(TIME)


def test_a_lost_answer_is_no_lost_lock(shelf: Shelf, lease: Lease) -> None:
    """A renewal that arrived, and whose answer did not, leaves the lock ours; and it is freed in the end."""
    lease.take(0)
    shelf.lose_answers = True
    with pytest.raises(Failure, match="does not answer"), lease.kept():
        pytest.fail("the first renewal said nothing")
    shelf.lose_answers = False
    with lease.kept():
        lease.check()
    shelf.version += 1
    lease.free()
    assert shelf.spec and shelf.spec["holderIdentity"] is None


def test_a_lock_of_another_run_is_lost(shelf: Shelf, lease: Lease) -> None:
    """Where another run has it by now nothing is begun, and it is left alone."""
    lease.take(0)
    shelf.write({"holderIdentity": OTHER})
    with pytest.raises(Failure, match="was lost to another run") as caught, lease.kept():
        pytest.fail("the work was begun")
    lease.free()
    assert caught.value.exit_code == 1 and shelf.spec and shelf.spec["holderIdentity"] == OTHER


def test_a_lock_is_kept(shelf: Shelf, lease: Lease, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is renewed all the while, and by nobody any more after that."""
    monkeypatch.setattr(module, "SECONDS", 0.03)
    lease.take(0)
    with lease.kept():
        assert shelf.renewals(3)
    left = threading.enumerate()
    assert not [thread for thread in left if getattr(thread, "_target", None) == lease._keep]


def test_a_lock_is_kept_while_an_image_is_pushed(
    shelf: Shelf, app: App, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The controller may take as long as it wants for that: nobody else gets the lock meanwhile."""
    monkeypatch.setattr(module, "SECONDS", 0.03)
    monkeypatch.setattr(deployment, "detach", _no_more)
    renewed = []

    def push(need: object) -> None:  # noqa: ARG001 - the method's form
        renewed.append(shelf.renewals(3))
        controller.send(b"2\n{}")

    monkeypatch.setattr(controller, "_answer", push)
    image = SimpleNamespace(reference="hello:1", order={"image": "hello:1"})
    compared = Comparison(app, [Manifest("Deployment", "hello", json.dumps(manifests()["Deployment"]))])
    with pytest.raises(Failure, match="all was pushed"):
        deployment.deploy(app.kubectl.host, compared, [image])
    assert renewed == [True] and shelf.spec and shelf.spec["holderIdentity"] is None


def _no_more(host: Host) -> None:  # noqa: ARG001 - it stands for a fork
    raise Failure("all was pushed")


def test_a_clock_that_is_behind(shelf: Shelf, lease: Lease, monkeypatch: pytest.MonkeyPatch) -> None:
    """A holder whose clock is a minute behind, and who was seen to renew, is alive: who may not wait is told so."""
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.01)
    shelf.write({"holderIdentity": OTHER, "renewTime": behind(60)})
    looks = []

    def renew() -> None:
        looks.append(1)
        assert len(looks) < 50, "it is waited for without an end"
        if len(looks) % 4 == 0:
            shelf.write({"renewTime": behind(60)})

    shelf.asked = renew
    with pytest.raises(Locked, match=OTHER):
        lease.take(0)


def test_a_dead_holder(shelf: Shelf, lease: Lease, monkeypatch: pytest.MonkeyPatch) -> None:
    """A holder who says nothing for the whole of its time is followed by the next, without --wait too."""
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(module, "SECONDS", 0.2)
    shelf.write({"holderIdentity": OTHER, "renewTime": behind(60)})
    lease.take(0)
    assert shelf.spec and shelf.spec["holderIdentity"].startswith("me from here")
