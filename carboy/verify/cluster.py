"""The app in a cluster, as the checks see it: by kubectl, on the machine that the inventory names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cached_property
from typing import Any

from carboy.applier.kubernetes.kubectl import by_hand, refused
from carboy.applier.kubernetes.manifest import RELEASE
from carboy.errors import CarboyError, DeclarationError, FailedError, UnreachableError

Object = dict[str, Any]
ERRORS: dict[int, type[CarboyError]] = {3: DeclarationError, 4: UnreachableError}
OVER = ("Failed", "Succeeded")
SELECTOR = "app.kubernetes.io/managed-by=carboy,app.kubernetes.io/name="


class Cluster:
    """One app in one namespace."""

    def __init__(self, settings: Any, output: Callable[..., str]) -> None:
        self.settings = settings
        self._output = output

    def kubectl(self, *arguments: str) -> str:
        """What kubectl prints; an AssertionError says in its own words why it failed."""
        s = self.settings
        begin, path = self._program
        words = [*path, "--context", s.context, "--namespace", s.namespace, *arguments]
        return self._output(" ".join([begin, *["%s"] * (len(words) - len(path))]), *words)

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
        """The release that the Deployment is of, as the cluster says now; empty if there is none.

        Raises `CarboyError` where the cluster cannot be asked, as every verb does.
        """
        try:
            found = self.get("deployment", self.settings.name)
        except AssertionError as problem:
            raise self._error(str(problem).partition(": ")[2]) from problem
        return str(found.get("metadata", {}).get("labels", {}).get(RELEASE, ""))

    def pods(self) -> list[Object]:
        """The pods of the app that are neither at their end, like one that was evicted, nor about to be."""
        found = self.get("pods", "-l", SELECTOR + self.settings.name)["items"]
        alive = [pod for pod in found if pod["status"].get("phase") not in OVER]
        return [pod for pod in alive if "deletionTimestamp" not in pod["metadata"]]

    def execute(self, pod: Object, *command: str) -> str:
        """What a command in the pod's container prints."""
        return self.kubectl("exec", pod["metadata"]["name"], "--container", "app", "--", *command)

    def ask(self, path: str) -> str:
        """What the Service answers to a request, by way of the API server."""
        place = f"/api/v1/namespaces/{self.settings.namespace}/services/{self.settings.name}:http/proxy"
        return self.kubectl("get", "--raw", place + path)

    @property
    def _program(self) -> tuple[str, list[str]]:
        """kubectl with its configuration as a shell reads it, and what is to be put into that."""
        # The home is that of who is logged in there: only if it is not quoted the shell knows it.
        found = re.fullmatch(r"(~[\w.-]*/)?(.*)", self.settings.kubeconfig)
        home, path = found.groups("") if found else ("", "")
        return (f"kubectl --kubeconfig {home}%s", [path]) if path else ("kubectl", [])

    def _error(self, said: str) -> CarboyError:
        s = self.settings
        facts = {"kubectl": by_hand(s.context, s.namespace, s.kubeconfig)}
        found = refused(said, {**facts, "context": s.context, "namespace": s.namespace}, self._contexts)
        return ERRORS.get(found.exit_code, FailedError)(found.what, hint=found.hint)

    def _contexts(self) -> str:
        begin, path = self._program
        try:
            return ", ".join(self._output(f"{begin} config get-contexts -o name", *path).split()) or "none"
        except AssertionError:
            return "none"


def ready(pod: Object) -> bool:
    """Whether a pod may be asked."""
    conditions = pod["status"].get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
