"""The switch and its way back: what is applied, in which order, and what is said; the gate's verdict is given here."""

from __future__ import annotations

import json
from subprocess import CompletedProcess
from typing import Any

import pytest

from carboy.applier.host import Host
from carboy.applier.kubernetes.app import HEALTHY, App, Live
from carboy.applier.kubernetes.kubectl import Kubectl
from carboy.applier.kubernetes.lease import Lease
from carboy.applier.kubernetes.rollout import Rollout
from carboy.applier.kubernetes.switch import Switch
from carboy.applier.resource import Failure, Stranded
from tests.kubernetes.test_kubernetes_live import deployment, history, replica_set
from tests.support.controller import Controller

Object = dict[str, Any]


class Cluster:
    """Takes what is applied, and lets releases come up or not, as it is told."""

    def __init__(self) -> None:
        self.applied: list[Object] = []
        self.deleted: list[str] = []
        self.problems: list[Exception] = []
        self.refuse_history = False

    def call(self, kubectl: Kubectl, *arguments: str, stdin: str = "") -> CompletedProcess[str]:  # noqa: ARG002
        """What `kubectl ARGUMENTS` does."""
        items = json.loads(stdin)["items"] if stdin else []
        if self.refuse_history and any(each["kind"] == "ConfigMap" for each in items):
            return CompletedProcess([], 1, "", "Unable to connect: i/o timeout")
        self.applied += items
        self.deleted += [arguments[1]] if arguments[0] == "delete" else []
        return CompletedProcess([], 0, "", "")

    def prove(self, *_: Any) -> None:
        """The gate: the next problem, if there is one left."""
        if self.problems:
            raise self.problems.pop(0)

    @property
    def pods(self) -> list[tuple[str, int]]:
        """Of each Deployment that was applied its release and the number of its pods."""
        found = [each for each in self.applied if each["kind"] == "Deployment"]
        return [(each["metadata"]["labels"]["carboy/release"], each["spec"]["replicas"]) for each in found]

    @property
    def outcomes(self) -> list[str]:
        """How the last history that was written says that switches ended."""
        written = [each for each in self.applied if each["metadata"]["name"] == "hello-history"]
        return [json.loads(line)["outcome"] for line in written[-1]["data"]["history.jsonl"].splitlines()]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A cluster in which all goes well so far."""
    made = Cluster()
    monkeypatch.setattr(Kubectl, "call", lambda *args, **more: made.call(*args, **more))
    monkeypatch.setattr(Rollout, "prove", made.prove)
    return made


def labelled(release: str, pods: int = 2, **status: int) -> Object:
    """A Deployment with an image, under the name of its release."""
    found = deployment(release, pods, **status)
    found["metadata"]["labels"]["carboy/release"] = release
    found["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.example.com/hello:1"
    return found


def switch(*objects: Object) -> Switch:
    """A switch in a cluster that has these objects."""
    args = {"app": "hello", "holder": {}, "cluster": {"reversible": True}}
    app = App(Kubectl(Host(Controller().stream, args=args), "prod", "web"), "hello", 1, 1)
    return Switch(app, Live("hello", list(objects)), Lease(app))


def test_only_the_number_differs(cluster: Cluster) -> None:
    """Where more pods of the same release do not come up, the number is as before; no older release, no removal."""
    cluster.problems = [Failure("no node takes the pod")]
    sets = [replica_set("old", 1), replica_set("a", 2)]
    running = switch(labelled("a"), *sets, history(("old", HEALTHY), ("a", HEALTHY)))
    with pytest.raises(Failure, match="no node takes the pod") as caught:
        running.run("deploy", labelled("a", pods=9))
    assert cluster.pods == [("a", 9), ("a", 2)] and cluster.deleted == []
    assert caught.value.exit_code == 1 and caught.value.hint == "a still serves"


def test_what_served_well_is_not_taken_down(cluster: Cluster) -> None:
    """A release that served well, lacks a pod just now and is the only one is left there."""
    cluster.problems = [Failure("no node takes the pod")]
    running = switch(labelled("a", availableReplicas=1), replica_set("a", 1), history(("a", HEALTHY)))
    with pytest.raises(Failure, match="no node takes the pod"):
        running.run("deploy", labelled("a", pods=9))
    assert cluster.pods[-1] == ("a", 2) and cluster.deleted == []


def test_a_first_deploy_that_fails(cluster: Cluster) -> None:
    """Where nothing ever served nothing is left that goes on trying."""
    cluster.problems = [Failure("it died")]
    with pytest.raises(Failure, match="it died") as caught:
        switch().run("deploy", labelled("a"))
    assert cluster.deleted == ["deployment"] and caught.value.hint == "nothing serves"


@pytest.mark.parametrize("problem", [Failure("it died"), KeyError("reason")])
def test_the_way_back_needs_no_history(cluster: Cluster, problem: Exception) -> None:
    """Whatever was wrong, and though it cannot be written down, what served before serves again."""
    cluster.problems, cluster.refuse_history = [problem], True
    with pytest.raises(Failure) as caught:
        switch(labelled("a"), replica_set("a", 1), history(("a", HEALTHY))).run("deploy", labelled("b"))
    assert cluster.pods == [("b", 2), ("a", 2)]
    assert caught.value.what == str(problem) and caught.value.hint == "a still serves"


@pytest.mark.parametrize("worse", [Failure("no way"), KeyError("reason")])
def test_a_way_back_that_fails(cluster: Cluster, worse: Exception) -> None:
    """Both reasons are told and the failed switch is written down, whatever went wrong on the way back."""
    cluster.problems = [Failure("it died"), worse]
    with pytest.raises(Stranded, match="it died; and the way back failed too"):
        switch(labelled("a"), replica_set("a", 1), history(("a", HEALTHY))).run("deploy", labelled("b"))
    assert cluster.outcomes == [HEALTHY, "failed"]


def test_a_lock_that_is_gone_before(cluster: Cluster) -> None:
    """Where the lock was lost before anything was applied, nothing has failed that there would be a way back from."""
    running = switch(labelled("a"), replica_set("a", 1), history(("a", HEALTHY)))
    running.lease.lost = True
    with pytest.raises(Failure, match="was lost") as caught:
        running.run("deploy", labelled("b"))
    assert caught.value.exit_code == 1 and cluster.applied == []
