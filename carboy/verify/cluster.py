"""The app in a cluster, as the checks see it: by kubectl, on the machine that the inventory names."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from typing import Any

from carboy.applier.kubernetes.manifest import RELEASE

Object = dict[str, Any]
SELECTOR = "app.kubernetes.io/managed-by=carboy,app.kubernetes.io/name="


class Cluster:
    """One app in one namespace."""

    def __init__(self, settings: Any, output: Callable[..., str]) -> None:
        self.settings = settings
        self._output = output

    def kubectl(self, *arguments: str) -> str:
        """What kubectl prints; an AssertionError says in its own words why it failed."""
        s = self.settings
        config = ["--kubeconfig", s.kubeconfig] if s.kubeconfig else []
        words = ["kubectl", *config, "--context", s.context, "--namespace", s.namespace, *arguments]
        return self._output(" ".join(["%s"] * len(words)), *words)

    def get(self, *arguments: str) -> Object:
        """An object or a list of them; empty if it is not there."""
        found: Object = json.loads(self.kubectl("get", "--ignore-not-found", "-o", "json", *arguments) or "{}")
        return found

    @cached_property
    def deployment(self) -> Object:
        """The Deployment."""
        return self.get("deployment", self.settings.name)

    @property
    def release(self) -> str:
        """The release that the Deployment is of, as the cluster says now; empty if there is none."""
        labels = self.get("deployment", self.settings.name).get("metadata", {}).get("labels", {})
        return str(labels.get(RELEASE, ""))

    def pods(self) -> list[Object]:
        """The pods of the app that are not about to end."""
        found = self.get("pods", "-l", SELECTOR + self.settings.name)["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def execute(self, pod: Object, *command: str) -> str:
        """What a command in the pod's container prints."""
        return self.kubectl("exec", pod["metadata"]["name"], "--container", "app", "--", *command)

    def ask(self, path: str) -> str:
        """What the Service answers to a request, by way of the API server."""
        place = f"/api/v1/namespaces/{self.settings.namespace}/services/{self.settings.name}:http/proxy"
        return self.kubectl("get", "--raw", place + path)


def ready(pod: Object) -> bool:
    """Whether a pod may be asked."""
    conditions = pod["status"].get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
