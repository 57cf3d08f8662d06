"""What is concluded from the state of a cluster, and from what kubectl says; no cluster is needed for that."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from subprocess import PIPE, CompletedProcess, Popen
from typing import Any

import pytest

from carboy.applier.host import Host
from carboy.applier.kubernetes.app import HEALTHY, App, Live, complete, pods_drift
from carboy.applier.kubernetes.explain import explain
from carboy.applier.kubernetes.kubectl import Kubectl, Unreachable
from carboy.applier.kubernetes.logs import logs
from carboy.applier.kubernetes.manifest import Manifest
from carboy.applier.kubernetes.rollout import Rollout
from carboy.applier.kubernetes.switch import declared
from tests.kubernetes.test_kubernetes_manifests import MOST, manifests
from tests.support.controller import Controller

Object = dict[str, Any]


@pytest.fixture
def kubectl() -> Kubectl:
    """kubectl for a context of the name prod."""
    return Kubectl(Host(Controller().stream), "prod", "web")


def template(release: str, config: str = "hello-env-1") -> Object:
    """The pods of a release."""
    container = {"name": "app", "envFrom": [{"configMapRef": {"name": config}}]}
    labels = {"carboy/release": release, "pod-template-hash": "x"}
    return {"metadata": {"labels": labels}, "spec": {"containers": [container]}}


def item(kind: str, name: str = "hello", **more: Any) -> Object:
    """An object of the cluster."""
    return {"kind": kind, "metadata": {"name": name, "labels": {}, "generation": 1, "annotations": {}}, **more}


def deployment(release: str, pods: int = 2, **status: int) -> Object:
    """A Deployment, complete unless its status says otherwise."""
    counts = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), pods)
    spec = {"replicas": pods, "template": template(release)}
    return item("Deployment", spec=spec, status={"observedGeneration": 1, **counts, **status})


def replica_set(release: str, revision: int, config: str = "hello-env-1") -> Object:
    """What a Deployment keeps of a release."""
    found = item("ReplicaSet", f"hello-{release}", spec={"template": template(release, config)})
    found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = str(revision)
    return found


def history(*outcomes: tuple[str, str]) -> Object:
    """The ConfigMap with what was deployed, and how that ended."""
    lines = [json.dumps({"release": release, "outcome": outcome}) + "\n" for release, outcome in outcomes]
    return item("ConfigMap", "hello-history", data={"history.jsonl": "".join(lines)})


@pytest.mark.parametrize(
    ("status", "whole"),
    [({}, True), ({"updatedReplicas": 1}, False), ({"replicas": 3}, False), ({"observedGeneration": 0}, False)],
)
def test_complete(status: dict[str, int], whole: bool) -> None:
    """A rollout is over when all pods are of the newest form, available, and no old one is left."""
    assert complete(deployment("a", **status)) is whole


def test_healthy() -> None:
    """Only a release that served well and still has its pods' form can come back, the latest last."""
    told = history(("a", HEALTHY), ("b", "failed"), ("c", HEALTHY), ("gone", HEALTHY), ("a", HEALTHY))
    live = Live("hello", [told, *(replica_set(name, at) for at, name in enumerate("abc"))])
    assert live.healthy == ["c", "a"]
    assert [record["release"] for record in live.since("c")] == ["gone", "a"]


def test_drift() -> None:
    """A release that serves and is written down is as declared; one of a killed run is not yet."""
    live = Live("hello", [deployment("a"), replica_set("a", 1), history(("a", HEALTHY), ("b", "failed"))])
    assert pods_drift(live, "a") == {}
    killed = Live("hello", [deployment("b", updatedReplicas=1), history(("a", HEALTHY))])
    assert set(pods_drift(killed, "b")) == {"pods", "history"}


def test_leftovers() -> None:
    """What nothing stands for any more is left over; what a release that can come back needs is not."""
    kept, old = item("ConfigMap", "hello-env-1"), item("ConfigMap", "hello-env-0")
    live = Live("hello", [kept, old, item("Ingress"), item("Service"), replica_set("a", 1), history()])
    assert live.leftovers([Manifest("Service", "hello", "{}")]) == [old, live.find("Ingress.hello")]


def test_the_autoscaler_decides(kubectl: Kubectl) -> None:
    """With an autoscaler the number of pods is as it is; without one as it is declared."""
    live, app = Live("hello", [deployment("a", pods=5)]), App(kubectl, "hello", 1, 1)
    for scaled, wanted in ((MOST, 5), ({**MOST, "kubernetes_autoscale_max": None}, 2)):
        texts = [Manifest(kind, "hello", json.dumps(content)) for kind, content in manifests(**scaled).items()]
        found = {each["kind"]: each for each in app.wanted(texts, live)}
        assert found["Deployment"]["spec"]["replicas"] == wanted


def test_declared_again() -> None:
    """What is applied to go back has nothing that is the server's own, and the labels of its release."""
    found = declared(deployment("b"), template("a"))
    assert found["metadata"] == {"name": "hello", "labels": {"carboy/release": "a"}}
    assert found["spec"]["template"]["metadata"]["labels"] == {"carboy/release": "a"} and "status" not in found


@pytest.mark.parametrize(
    ("said", "code", "what"),
    [
        ('error: context "prod" does not exist', 3, "knows no context prod"),
        ("error: stat /nowhere: no such file or directory", 3, "the kubeconfig cannot be read"),
        ('Error from server (NotFound): namespaces "web" not found', 1, "has no namespace web"),
        ("error: You must be logged in to the server (Unauthorized)", 4, "does not let this user in"),
        ('Error from server (Forbidden): pods is forbidden: User "x" cannot list', 1, "this user may not do that"),
        ("Unable to connect to the server: dial tcp 10.0.0.1:6443: i/o timeout", 4, "does not answer"),
        ("The connection to the server localhost:9 was refused - did you specify", 4, "does not answer"),
        ('no matches for kind "PodDisruptionBudget" in version "policy/v1"', 1, "is too old or lacks a part"),
        ('Error from server (Invalid): Deployment "hello" is invalid: spec.x', 1, "the cluster refused: Deployment"),
    ],
)
def test_refusals(kubectl: Kubectl, said: str, code: int, what: str) -> None:
    """What kubectl says becomes an error with the right exit code, and with what to do."""
    found = kubectl.refusal(said)
    assert (found.exit_code, what in found.what, bool(found.hint)) == (code, True, True)


@pytest.mark.parametrize(
    ("state", "restarts", "hopeless"),
    [
        ({"waiting": {"reason": "ContainerCreating"}}, 0, False),
        ({"waiting": {"reason": "ErrImagePull"}}, 0, False),
        ({"waiting": {"reason": "ImagePullBackOff"}}, 0, True),
        ({"waiting": {"reason": "CreateContainerConfigError"}}, 0, True),
        ({"running": {}}, 0, False),
        ({"running": {}}, 1, True),
    ],
)
def test_hopeless(
    kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch, state: Object, restarts: int, hopeless: bool
) -> None:
    """A pod that cannot come up by itself ends the gate at once; one that ends already does not count."""
    pod: Object = {"metadata": {"name": "p"}, "status": {"containerStatuses": [{"state": state}]}}
    pod["status"]["containerStatuses"][0]["restartCount"] = restarts
    monkeypatch.setattr(App, "pods", lambda self, *labels: [pod])  # noqa: ARG005 - the method's form
    gate = Rollout(App(kubectl, "hello", 60, 60), "a")
    assert (gate.trouble() == pod) is hopeless
    pod["metadata"]["deletionTimestamp"] = "now"
    assert gate.trouble() is None


def test_a_look_that_fails_ends_nothing(kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that does not answer for a moment is no trouble of the release: `rollout status` decides."""
    script = "print('waiting', flush=True); input(); print('rolled out')"
    with Popen([sys.executable, "-c", script], stdin=PIPE, stdout=PIPE) as watching:
        assert watching.stdin
        ending = watching.stdin

        def pods(app: App, *labels: str) -> list[Object]:  # noqa: ARG001 - the method's form
            with suppress(BrokenPipeError):
                os.write(ending.fileno(), b"\n")
            raise Unreachable("the cluster does not answer")

        monkeypatch.setattr(App, "pods", pods)
        monkeypatch.setattr(Kubectl, "begin", lambda *_, **__: watching)
        said: list[str] = []
        Rollout(App(kubectl, "hello", 60, 60), "a").prove(said.append)
    assert said == ["waiting", "rolled out"]


def test_events_without_words(kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event may lack a reason or a message; the rest of the explanation is there all the same."""
    events = [{"reason": "Killing"}, {"message": "so  it was"}]
    answers = {"events": events, "deployment": []}
    monkeypatch.setattr(Kubectl, "get", lambda self, kind, *_: answers[kind])  # noqa: ARG005
    monkeypatch.setattr(Kubectl, "call", lambda *_: CompletedProcess([], 0, "the last words\n", ""))
    kubectl.host.args["app"] = "hello"
    pod = {**item("Pod", "hello-1"), "spec": {"containers": [{"image": "x"}]}, "status": {}}
    found = explain(App(kubectl, "hello", 1, 1), "a", pod, "")
    assert found.details.splitlines()[1:3] == ["event: Killing", "event: so it was"] and "last words" in found.details


@pytest.mark.parametrize("namespace", ["web", "k8s", "io", "v1", "networking"])
def test_differences(kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch, namespace: str) -> None:
    """What differs is found by its kind, whatever the namespace is called."""
    names = {"networking.k8s.io.v1.Ingress": "hello", "v1.ConfigMap": "hello-env-1.v1.x"}
    head = "diff -u -N /tmp/LIVE-1/{0} /tmp/MERGED-2/{0}\n--- /tmp/LIVE-1/{0}\t1\n+++ /tmp/MERGED-2/{0}\t1\n+x\n"
    text = "".join(head.format(f"{kind}.{namespace}.{name}") for kind, name in names.items())
    monkeypatch.setattr(Kubectl, "call", lambda *_, **__: CompletedProcess([], 1, text, ""))
    found = Kubectl(kubectl.host, "prod", namespace).differences()
    assert list(found) == ["Ingress.hello", "ConfigMap.hello-env-1.v1.x"] and "+x" in found["Ingress.hello"]


@pytest.mark.parametrize(("lines", "shown"), [(0, []), (2, ["b", "c"]), (9, ["a", "b", "c"])])
def test_last_lines(monkeypatch: pytest.MonkeyPatch, lines: int, shown: list[str]) -> None:
    """So many of the last lines are shown, and none for 0."""
    place = {
        "context": "prod",
        "namespace": "web",
        "kubeconfig": "",
        "name": "hello",
        "deadline": 1,
        "start_timeout": 1,
    }
    controller = Controller()
    args = {"cluster": place, "file": "/var/log/hello/error.log", "lines": lines, "follow": False}
    monkeypatch.setattr(Kubectl, "call", lambda *_, **__: CompletedProcess([], 0, "a\nb\n{}\nc\n", ""))
    logs(Host(controller.stream, args=args), args)
    controller.close()
    assert [event["line"] for event in controller.events] == shown
