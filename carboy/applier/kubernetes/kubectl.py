"""kubectl, and what it means when it refuses."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Tuple

from carboy.applier.host import Host
from carboy.applier.kubernetes.manifest import Object
from carboy.applier.resource import Failure

TIMEOUT = "--request-timeout=20s"
APPLY = ("apply", "--server-side", "--force-conflicts", "--field-manager=carboy", "-f", "-")
DIFF = ("diff", "--server-side", "--force-conflicts", "--field-manager=carboy", "-f", "-")
DIFFERS = 1


class Unreachable(Failure):
    """The cluster could not be asked."""

    exit_code = 4


class Undeclared(Failure):
    """The machine knows no such cluster; nothing was contacted."""

    exit_code = 3


MISSING = "there is no kubectl on this machine"
INSTALL = "install it (1.20 or newer), and have it in the PATH of whoever runs the deploy"
# What is found in the words of kubectl; the first that fits wins.
REFUSALS: Tuple[Tuple[str, type, str, str], ...] = (
    (
        r"context \"?(.+?)\"? does not exist|context was not found for specified context: (.+)",
        Undeclared,
        "this machine's kubectl knows no context {context}",
        "correct kubernetes_context, or kubernetes_kubeconfig; known: {contexts}",
    ),
    (r"kubectl: (command )?not found$", Failure, MISSING, INSTALL),
    (
        r"(stat|open) .*: no such file|error loading config file",
        Undeclared,
        "the kubeconfig cannot be read: {said}",
        "correct kubernetes_kubeconfig",
    ),
    (
        r"namespaces? \"(.+?)\" not found",
        Failure,
        "the cluster of context {context} has no namespace {namespace}",
        "correct kubernetes_namespace, or make it: {kubectl} create namespace {namespace}",
    ),
    (
        r"Unauthorized|You must be logged in|provide credentials|getting credentials",
        Unreachable,
        "the cluster of context {context} does not let this user in: {said}",
        "log in anew; try: {kubectl} get pods",
    ),
    (
        r"forbidden: User",
        Failure,
        "this user may not do that in {namespace}: {said}",
        "ask for the rights; see: {kubectl} auth can-i --list",
    ),
    (
        r"no matches for kind|resource mapping not found|the server doesn't have a resource type",
        Failure,
        "the cluster of context {context} is too old or lacks a part: {said}",
        "1.21 or newer has all kinds, 1.23 the autoscaler's; kubernetes_disruptions: null leaves out the budget",
    ),
    (
        r"Unable to connect|connection refused|was refused|i/o timeout|no such host|TLS handshake|EOF$|"
        r"context deadline exceeded|the server is currently unable|http: server gave|net/http",
        Unreachable,
        "the cluster of context {context} does not answer: {said}",
        "is it up, and is it reached from here? try: {kubectl} version",
    ),
)


@dataclass(frozen=True)
class Kubectl:
    """kubectl on this machine, for one namespace of one cluster."""

    host: Host
    context: str
    namespace: str
    kubeconfig: str = ""

    @property
    def by_hand(self) -> str:
        """How a person begins the same commands."""
        return by_hand(self.context, self.namespace, self.kubeconfig)

    def begin(self, *arguments: str, **pipes: Any) -> "subprocess.Popen[bytes]":
        """Start kubectl with the caller's own environment, in which its log-in helpers live."""
        config = ["--kubeconfig", os.path.expanduser(self.kubeconfig)] if self.kubeconfig else []
        command = ["kubectl", *config, "--context", self.context, "--namespace", self.namespace, *arguments]
        # A diff of somebody's own taste could not be read.
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "KUBECTL_EXTERNAL_DIFF": ""}
        try:
            return subprocess.Popen(command, env=environment, **{"stdin": subprocess.DEVNULL, **pipes})
        except FileNotFoundError as problem:
            raise Failure(MISSING, hint=INSTALL) from problem

    def call(self, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """Run kubectl to its end, whatever its exit code."""
        pipe = subprocess.PIPE
        with self.begin(TIMEOUT, *arguments, stdin=pipe, stdout=pipe, stderr=pipe) as process:
            said, errors = process.communicate(stdin.encode())
        return subprocess.CompletedProcess(
            arguments, process.returncode, said.decode("utf-8", "replace"), errors.decode("utf-8", "replace")
        )

    def run(self, *arguments: str, stdin: str = "") -> str:
        """Run kubectl, which must succeed, and return what it printed."""
        done = self.call(*arguments, stdin=stdin)
        if done.returncode:
            raise self.refusal(done.stderr)
        return done.stdout

    def get(self, *arguments: str) -> List[Object]:
        """The objects that `kubectl get` finds; none is no error."""
        text = self.run("get", "--ignore-not-found", "-o", "json", *arguments)
        found = json.loads(text) if text.strip() else {"items": []}
        return list(found.get("items", [found]))

    def apply(self, *objects: Object) -> None:
        """Apply objects server-side as the manager of their fields."""
        if objects:
            self.run(*APPLY, stdin=bundle(*objects))

    def differences(self, *objects: Object) -> Dict[str, str]:
        """For each object that an apply would change, by KIND.NAME, the change as a unified diff."""
        done = self.call(*DIFF, stdin=bundle(*objects))
        if done.returncode > DIFFERS or (done.returncode and not done.stdout):
            raise self.refusal(done.stderr)
        parts = re.split(r"^diff -u -N \S+/LIVE-\d+/\S+ \S+/MERGED-\d+/(\S+)\n", done.stdout, flags=re.MULTILINE)
        texts = iter(parts[1:])
        return {_short(name, self.namespace): _named(next(texts), name) for name in texts}

    def refusal(self, said: str) -> Failure:
        """The error for what kubectl said when it failed."""
        facts = {"kubectl": self.by_hand, "context": self.context, "namespace": self.namespace}
        return refused(said, facts, self._contexts)

    def _contexts(self) -> str:
        config = ["--kubeconfig", os.path.expanduser(self.kubeconfig)] if self.kubeconfig else []
        done = subprocess.run(["kubectl", *config, "config", "get-contexts", "-o", "name"], capture_output=True)
        return ", ".join(done.stdout.decode("utf-8", "replace").split()) or "none"


def bundle(*objects: Object) -> str:
    """Several objects as one text."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})


def by_hand(context: str, namespace: str, kubeconfig: str = "") -> str:
    """How a person begins a command for one namespace of one cluster."""
    config = "--kubeconfig %s " % kubeconfig if kubeconfig else ""
    return "kubectl %s--context %s -n %s" % (config, context, namespace)


def refused(said: str, facts: Dict[str, str], contexts: Callable[[], str]) -> Failure:
    """What kubectl said, with the facts of what it was asked; `contexts` names those there are."""
    lines = [line for line in said.strip().splitlines() if not line.startswith("Warning:")]
    last = re.sub(r"^(error|Error from server \(\w+\)|Error): ", "", lines[-1] if lines else "it said nothing")
    for pattern, kind, what, hint in REFUSALS:
        if re.search(pattern, said, re.MULTILINE):
            known = contexts() if "{contexts}" in hint else ""
            every = {**facts, "said": last[:300], "contexts": known}
            failure: Failure = kind(what.format(**every), hint=hint.format(**every))
            return failure
    return Failure("the cluster refused: %s" % last[:300], details="\n".join(lines[-25:]), hint="correct that")


def key(item: Object) -> str:
    """What an object is called in `differences`."""
    return "%s.%s" % (item["kind"], item["metadata"]["name"])


def _named(diff: str, name: str) -> str:
    """A diff under the object's name, in place of the temporary files that were compared."""
    return re.sub(r"^(---|\+\+\+) \S+\t.*$", r"\1 " + name, diff, count=2, flags=re.MULTILINE)


def _short(name: str, namespace: str) -> str:
    """KIND.NAME of the name of a file in a diff: GROUP.VERSION.KIND.NAMESPACE.NAME."""
    # Alone a kind begins with a capital; a namespace may well be named like a part of a group.
    found = re.search(r"([A-Z]\w*)\.%s\.(.+)$" % re.escape(namespace), name)
    return "%s.%s" % found.groups() if found else name
