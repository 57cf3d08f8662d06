"""The switch of an app from the release that serves to another one; on any failure what served before serves on."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any, Dict, Optional

from carboy.applier.kubernetes.app import HEALTHY, HISTORY, App, Live, complete
from carboy.applier.kubernetes.lease import Lease
from carboy.applier.kubernetes.manifest import MANAGED, RELEASE, Object
from carboy.applier.kubernetes.rollout import Rollout
from carboy.applier.resource import Failure, Stranded

KEPT_RECORDS = 100
SERVERS_OWN = ("creationTimestamp", "deletionTimestamp", "generation", "managedFields", "resourceVersion", "uid")


class Switch:
    """One switch, under the lease of the app."""

    def __init__(self, app: App, live: Live, lease: Lease) -> None:
        self.app, self.live, self.lease = app, live, lease
        self.kubectl, self.host = app.kubectl, app.kubectl.host

    def run(self, action: str, deployment: Object) -> None:
        """Bring this Deployment into service and write that down, or go back and write that down."""
        release, began = deployment["metadata"]["labels"][RELEASE], time.monotonic()
        before = self.live.healthy[-1] if self.live.healthy else None
        # Not below: where nothing was applied there is nothing to go back from.
        self.lease.check()
        try:
            self.kubectl.apply(deployment)
            Rollout(self.app, release).prove(self.host.say)
        except Exception as problem:
            # Whatever it is, a fault of Carboy's too: what served before must serve again.
            failure = problem if isinstance(problem, Failure) else Failure(str(problem) or repr(problem))
            try:
                serves = self._go_back(release, failure)
            finally:
                with suppress(Exception):
                    self._remember(action, deployment, "failed", began, why=failure.what)
            hint = "; ".join(filter(None, (serves, failure.hint)))
            raise Failure(failure.what, details=failure.details, hint=hint) from problem
        self._remember(action, deployment, HEALTHY, began)
        seconds = round(time.monotonic() - began, 3)
        self.host.stream.emit("cutover", release=release, before=before, seconds=seconds)

    def _go_back(self, failed: str, failure: Failure) -> str:
        """Let what served before serve again, and say who serves."""
        try:
            target = self._earlier(failed)
            if not target:
                return self._take_down()
            self.lease.check()
            self.kubectl.apply(target)
            release = str(target["metadata"]["labels"][RELEASE])
            Rollout(self.app, release).prove(self.host.say)
            return "%s still serves" % release
        except Exception as problem:
            what = "%s; and the way back failed too: %s" % (failure.what, problem)
            details = "\n".join((failure.details, getattr(problem, "details", "")))
            raise Stranded(what, details=details, hint="see: %s get pods" % self.kubectl.by_hand) from problem

    def _earlier(self, failed: str) -> Optional[Object]:
        """The Deployment to go back to: just as it was, if it was well, else of the release that last served well."""
        found = self.live.deployment
        if not found:
            return None
        if complete(found):
            return declared(found, found["spec"]["template"])
        # One that served well is not taken down: it is itself, if there is no other.
        healthy = [name for name in self.live.healthy if name != failed] or self.live.healthy
        return declared(found, self.live.templates[healthy[-1]]) if healthy else None

    def _take_down(self) -> str:
        """Nothing ever served: leave nothing that goes on trying."""
        self.kubectl.run("delete", "deployment", self.app.name, "--ignore-not-found", "--wait=false")
        return "nothing serves"

    def _remember(self, action: str, deployment: Object, outcome: str, began: float, why: str = "") -> None:
        """Append one switch to the history, which lies in the cluster, where every controller finds it."""
        record: Dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "action": action,
            "release": deployment["metadata"]["labels"][RELEASE],
            "outcome": outcome,
            "revision": image_of(deployment),
            "seconds": round(time.monotonic() - began, 2),
            **self.host.holder,
            **({"why": why} if why else {}),
            # Of a rollback nothing is known of what the deploy said that brought the release.
            **({"irreversible": True} if action == "deploy" and not self.host.args["cluster"]["reversible"] else {}),
        }
        records = [*self.live.history, record][-KEPT_RECORDS:]
        text = "".join(json.dumps(each) + "\n" for each in records)
        labels = {"app.kubernetes.io/name": self.app.name, **MANAGED}
        meta = {"name": self.app.name + "-history", "labels": labels}
        self.kubectl.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {HISTORY: text}})


def declared(deployment: Object, template: Object) -> Object:
    """A Deployment as one would declare it, with these pods."""
    labels = {name: value for name, value in template["metadata"]["labels"].items() if name != "pod-template-hash"}
    meta = {name: value for name, value in deployment["metadata"].items() if name not in SERVERS_OWN}
    meta.pop("annotations", None)
    meta["labels"] = {**meta["labels"], RELEASE: labels[RELEASE]}
    pods = {**template, "metadata": {"labels": labels}}
    spec = {**deployment["spec"], "template": pods}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}


def image_of(deployment: Object) -> str:
    """The image of a release, without the registry: what people know it by."""
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"]).rpartition("/")[2]
