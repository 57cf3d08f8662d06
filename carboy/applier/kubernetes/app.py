"""An app as it is in its cluster: its objects, what differs from what is declared, and how it came to be so."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Dict, List, Optional

from carboy.applier.kubernetes.kubectl import Kubectl, key
from carboy.applier.kubernetes.manifest import MANAGED, RELEASE, Manifest, Object
from carboy.applier.resource import Drift, Failure

KINDS = (
    "serviceaccounts,configmaps,services,deployments.apps,replicasets.apps,poddisruptionbudgets.policy,"
    "horizontalpodautoscalers.autoscaling,ingresses.networking.k8s.io,networkpolicies.networking.k8s.io"
)
HEALTHY = "healthy"
HISTORY = "history.jsonl"
REVISION = "deployment.kubernetes.io/revision"
Record = Dict[str, Any]


@dataclass(frozen=True)
class Live:
    """What there was when it was read."""

    name: str
    objects: List[Object]

    @property
    def deployment(self) -> Optional[Object]:
        """The Deployment, if there is one."""
        return self.find("Deployment.%s" % self.name)

    @property
    def release(self) -> str:
        """The release that the Deployment is of, whether its pods are all there yet or not."""
        return _label(self.deployment) if self.deployment else ""

    @property
    def complete(self) -> bool:
        """Whether all pods are of that release, and available."""
        return bool(self.deployment) and complete(self.deployment)  # type: ignore[arg-type]

    @property
    def templates(self) -> Dict[str, Object]:
        """The pods of each release that can come back, by release, in the order in which they served last."""
        sets = [item for item in self.objects if item["kind"] == "ReplicaSet"]
        sets.sort(key=lambda item: int(item["metadata"]["annotations"].get(REVISION, 0)))
        return {_label(item): item["spec"]["template"] for item in sets}

    @property
    def history(self) -> List[Record]:
        """Every switch there was, oldest first."""
        found = self.find("ConfigMap.%s-history" % self.name) or {}
        return [json.loads(line) for line in found.get("data", {}).get(HISTORY, "").splitlines()]

    @property
    def healthy(self) -> List[str]:
        """The releases that served well and can come back, the one that did so last coming last."""
        served = [record["release"] for record in self.history if record["outcome"] == HEALTHY]
        return [name for at, name in enumerate(served) if name in self.templates and name not in served[at + 1 :]]

    def since(self, release: str) -> List[Record]:
        """The switches, failed ones too, since the one after which a release served last, oldest first."""
        every = self.history
        served = (at for at, each in enumerate(every) if (each["release"], each["outcome"]) == (release, HEALTHY))
        return every[max(served, default=-1) + 1 :]

    def find(self, wanted: str) -> Optional[Object]:
        """An object by KIND.NAME."""
        return next((item for item in self.objects if key(item) == wanted), None)

    def leftovers(self, manifests: List[Manifest]) -> List[Object]:
        """Objects of earlier declarations that nothing stands for any more."""
        declared = {"%s.%s" % (each.kind, each.name) for each in manifests} | {"ConfigMap.%s-history" % self.name}
        used = {source["configMapRef"]["name"] for each in self.templates.values() for source in _sources(each)}
        return [
            item
            for item in self.objects
            if item["kind"] != "ReplicaSet" and key(item) not in declared and item["metadata"]["name"] not in used
        ]


@dataclass(frozen=True)
class App:
    """One app in one namespace."""

    kubectl: Kubectl
    name: str
    deadline: int
    start_timeout: int

    @property
    def selector(self) -> str:
        """What finds all that is the app's."""
        labels = {"app.kubernetes.io/name": self.name, **MANAGED}
        return ",".join("%s=%s" % pair for pair in labels.items())

    def read(self) -> Live:
        """Read everything of the app at once; raises `Failure` where there is no such namespace."""
        found = self.kubectl.get(KINDS, "-l", self.selector)
        if not found:
            done = self.kubectl.call("get", "namespace", self.kubectl.namespace)
            # Whether it is there is nothing that everybody may ask.
            if "NotFound" in done.stderr:
                raise self.kubectl.refusal(done.stderr)
        return Live(self.name, found)

    def pods(self, *more: str) -> List[Object]:
        """The pods of the app."""
        return self.kubectl.get("pods", "-l", ",".join((self.selector, *more)))

    def wanted(self, manifests: List[Manifest], live: Live) -> List[Object]:
        """The objects as they are to be applied: the number of pods is the autoscaler's, where there is one."""
        objects = [manifest.content for manifest in manifests]
        if live.deployment and any(item["kind"] == "HorizontalPodAutoscaler" for item in objects):
            for item in objects:
                if item["kind"] == "Deployment":
                    # To leave it out would not leave it alone: what its manager no longer names is taken away.
                    item["spec"]["replicas"] = live.deployment["spec"].get("replicas", 1)
        return objects

    def refuse_others(self, live: Live, objects: List[Object]) -> None:
        """Raise `Failure` for an object that is there by that name and is not ours."""
        for item in objects:
            if not live.find(key(item)) and self.kubectl.get(item["kind"].lower(), item["metadata"]["name"]):
                raise Failure(
                    "%s %s is there already, and not from Carboy" % (item["kind"], item["metadata"]["name"]),
                    hint="choose another app_name, or remove it: %s delete %s %s"
                    % (self.kubectl.by_hand, item["kind"].lower(), item["metadata"]["name"]),
                )


def complete(deployment: Object) -> bool:
    """Whether every pod of a Deployment is of its newest form and available."""
    wanted, status = deployment["spec"].get("replicas", 1), deployment.get("status", {})
    counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
    seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    return bool(seen and counts == [wanted] * len(counts))


def ready(pod: Object) -> bool:
    """Whether a pod may be asked."""
    conditions = pod.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def pods_drift(live: Live, release: str) -> Drift:
    """What of a release's being in service is not so."""
    recorded = [record["release"] for record in live.history if record["outcome"] == HEALTHY][-1:]
    status = (live.deployment or {}).get("status", {})
    pods = "complete" if live.complete else "%d available" % status.get("availableReplicas", 0)
    found = {
        "serving": (live.release or None, release),
        "pods": (pods, "complete"),
        "history": (recorded[0] if recorded else None, release),
    }
    return {name: pair for name, pair in found.items() if pair[0] != pair[1]}


def _label(item: Object) -> str:
    return str(item["spec"]["template"]["metadata"]["labels"].get(RELEASE, ""))


def _sources(template: Object) -> List[Object]:
    containers = template["spec"]["containers"]
    return [source for each in containers for source in each.get("envFrom", []) if "configMapRef" in source]
