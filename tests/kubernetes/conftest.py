"""A namespace of a real cluster to deploy to, and the command as a person would type it."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.host.conftest import Outcome
from tests.support import cluster
from tests.support.load import Load, running
from tests.support.typist import INVOKE

ROOT = Path(__file__).parents[2]
CLIENT = (ROOT / "tests/support/load.py").read_text()
NO_CLUSTER = "no cluster is at hand: run make cluster, or name a kubeconfig in CARBOY_TEST_KUBECONFIG"


@dataclass
class Place:
    """One namespace for the app `hello`, reached from this machine."""

    folder: Path
    kubeconfig: Path
    namespace: str
    context: str
    image: str
    variables: dict[str, Any] = field(default_factory=dict)

    def invoke(self, *arguments: str, env: dict[str, str] | None = None, expect: int | None = 0) -> Outcome:
        """Run `invoke ARGUMENTS --host prod --json` and check its exit code."""
        done = subprocess.run(
            self.command(*arguments), cwd=ROOT, env=self.env | (env or {}), capture_output=True, text=True
        )
        outcome = Outcome(done.returncode, done.stdout, done.stderr)
        assert expect in (None, outcome.code), f"exit {outcome.code}\n{outcome.stdout}\n{outcome.stderr}"
        return outcome

    def command(self, verb: str, *arguments: str) -> list[str]:
        """The command line of a verb."""
        path = self.folder / "inventory/hosts.yml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump({"all": {"hosts": {"prod": self.inventory}}}))
        return [INVOKE, verb, "-i", str(path.parent), "--host", "prod", "--json", *arguments]

    @property
    def env(self) -> dict[str, str]:
        """The environment of a person with a home of their own and a kubectl."""
        program = Path(cluster.kubectl(print)).parent
        return {**os.environ, "HOME": str(self.folder), "PATH": f"{program}:{os.environ['PATH']}"}

    @property
    def inventory(self) -> dict[str, Any]:
        """What is known of the app."""
        return {
            "ansible_connection": "local",
            "app_runtime": "kubernetes",
            "app_name": "hello",
            "app_wsgi": "app.wsgi:app",
            "app_memory_max": "256M",
            "app_start_timeout": "40s",
            "kubernetes_kubeconfig": str(self.kubeconfig),
            "kubernetes_context": self.context,
            "kubernetes_namespace": self.namespace,
            "kubernetes_image": self.image,
            # A rollout of one pod takes half as long as one of two.
            "kubernetes_replicas": 1,
            "release_watch": "1s",
            **self.variables,
        }

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """Run kubectl in the namespace, past Carboy."""
        command = [cluster.kubectl(print), "--kubeconfig", str(self.kubeconfig), "-n", self.namespace, *arguments]
        return subprocess.run(command, input=stdin, check=True, capture_output=True, text=True).stdout

    def get(self, *arguments: str) -> Any:
        """An object of the namespace, or a list of them."""
        return json.loads(self.kubectl("get", "-o", "json", *arguments))

    @property
    def serving(self) -> list[str]:
        """The releases of the pods that are ready and not about to end."""
        pods = self.get("pods", "-l", "app.kubernetes.io/name=hello")["items"]
        found = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"] and _ready(pod)]
        return sorted({pod["metadata"]["labels"]["carboy/release"] for pod in found})

    @contextmanager
    def load(self, clients: int = 8) -> Iterator[Load]:
        """Have a pod of the cluster ask the app's Service for the length of the block."""
        address = self.get("service", "hello")["spec"]["clusterIP"]
        command = [cluster.kubectl(print), "--kubeconfig", str(self.kubeconfig), "-n", self.namespace, "exec", "-i"]
        script = CLIENT.replace("127.0.0.1", address)
        program = ["client", "--", "python3", "-c", script, "80", "/test", str(clients)]
        with running([*command, *program]) as result:
            yield result


def _ready(pod: Any) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", []))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A fresh namespace, with a pod in it that can put the app under load; removed again."""
    named = os.environ.get("CARBOY_TEST_KUBECONFIG")
    if not named and not cluster.running():
        pytest.skip(NO_CLUSTER)
    kubeconfig = Path(named) if named else cluster.kubeconfig()
    image = os.environ.get("CARBOY_TEST_IMAGE", cluster.IMAGE)
    made = Place(tmp_path_factory.mktemp("place"), kubeconfig, f"carboy-{secrets.token_hex(3)}", "", image)
    made.context = made.kubectl("config", "current-context").strip()
    if "policy/v1\n" not in made.kubectl("api-versions"):
        made.variables["kubernetes_disruptions"] = None
    made.kubectl("create", "namespace", made.namespace)
    try:
        made.kubectl("create", "secret", "generic", "tokens", "--from-literal=first=abc")
        made.kubectl("run", "client", f"--image={image}", "--restart=Never", "--command", "--", "sleep", "3600")
        made.kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=90s")
        yield made
    finally:
        made.kubectl("delete", "namespace", made.namespace, "--wait=false")


@pytest.fixture(scope="module")
def deployed(place: Place) -> Place:
    """A namespace with the app deployed."""
    place.invoke("deploy")
    return place
