"""How `invoke verify` asks a cluster: by the kubectl of the machine that has it, in a shell there."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from carboy.errors import CarboyError
from carboy.verify.cluster import Cluster

Asked = Callable[..., Cluster]


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    """A cluster whose kubectl is a script of the test's, if it is given one, in a home of its own."""

    def make(script: str = "", kubeconfig: str = "") -> Cluster:
        if script:
            (tmp_path / "kubectl").write_text("#!/bin/sh\n" + script)
            (tmp_path / "kubectl").chmod(0o755)

        def output(command: str, *arguments: str) -> str:
            line = command % tuple(map(shlex.quote, arguments))
            env = {"PATH": f"{tmp_path}:/nowhere", "HOME": str(tmp_path)}
            done = subprocess.run(["/bin/sh", "-c", line], env=env, capture_output=True, text=True)
            if done.returncode:
                raise AssertionError(f"{command % arguments}: {done.stderr.strip()}")
            return done.stdout.strip()

        settings = SimpleNamespace(context="prod", namespace="web", kubeconfig=kubeconfig, name="hello")
        return Cluster(settings, output)

    return make


@pytest.mark.parametrize(
    ("said", "code", "what"),
    [
        ('error: context "prod" does not exist', 3, "this machine's kubectl knows no context prod"),
        ("error: stat /nowhere: no such file or directory", 3, "the kubeconfig cannot be read: stat /nowhere"),
        ("Unable to connect to the server: dial tcp 10.0.0.1:6443: i/o timeout", 4, "context prod does not answer"),
        ("error: You must be logged in to the server (Unauthorized)", 4, "does not let this user in"),
        ('Error from server (Forbidden): pods is forbidden: User "x" cannot', 1, "this user may not do that in web"),
    ],
)
def test_a_cluster_that_cannot_be_asked(asked: Asked, said: str, code: int, what: str) -> None:
    """It is the same error as of any other verb."""
    known = 'case "$*" in *get-contexts*) echo one; echo two; exit;; esac\n'
    with pytest.raises(CarboyError) as caught:
        _ = asked(f"{known}echo {shlex.quote(said)} >&2; exit 1").release
    assert (caught.value.exit_code, what in caught.value.what) == (code, True)
    assert ("known: one, two" in caught.value.hint) is ("context" in what and code == 3)


def test_no_kubectl(asked: Asked) -> None:
    """A machine without kubectl is told of."""
    with pytest.raises(CarboyError) as caught:
        _ = asked().release
    assert (caught.value.what, caught.value.exit_code) == ("there is no kubectl on this machine", 1)


@pytest.mark.parametrize(
    ("kubeconfig", "read"),
    [("~/.kube/my config", "{home}/.kube/my config"), ("/etc/~/x", "/etc/~/x"), ("", "")],
)
def test_kubeconfig(asked: Asked, tmp_path: Path, kubeconfig: str, read: str) -> None:
    """A kubeconfig below ~ is that of who is logged in there, as in a deploy."""
    said = asked('echo "$1=$2"', kubeconfig).kubectl("version")
    assert said == (f"--kubeconfig={read.format(home=tmp_path)}" if read else "--context=prod")


def test_pods_at_their_end(asked: Asked) -> None:
    """A pod that was evicted, has ended or is ending is none that should be ready."""
    phases = {"a": "Running", "b": "Failed", "c": "Succeeded", "d": "Running", "e": "Pending"}
    items = [{"metadata": {"name": name}, "status": {"phase": phase}} for name, phase in phases.items()]
    items[3]["metadata"]["deletionTimestamp"] = "now"
    found = asked(f"echo {shlex.quote(json.dumps({'items': items}))}").pods()
    assert [pod["metadata"]["name"] for pod in found] == ["a", "e"]
