"""The app in a real cluster: deployed, updated under load, rolled back, and kept from whatever is wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.kubernetes.conftest import Place

GREETING = '{"app_environment": {"GREETING": "hello again"}}'
TOKEN = '{"kubernetes_secrets": {"TOKEN": "tokens/first"}}'


def container(place: Place) -> dict[str, Any]:
    """The container that the Deployment declares."""
    found: dict[str, Any] = place.get("deployment", "hello")["spec"]["template"]["spec"]["containers"][0]
    return found


def error(place: Place, *arguments: str, code: int, env: dict[str, str] | None = None) -> dict[str, Any]:
    """How a verb that fails explains itself."""
    outcome = place.invoke(*arguments, expect=code, env=env)
    found: dict[str, Any] = [*outcome.of("failed"), *outcome.of("error")][-1]
    return found


def test_deploy(deployed: Place) -> None:
    """A second deploy of the same finds nothing to do, and everything of the first is there."""
    assert deployed.invoke("deploy").changed == []
    [release] = deployed.serving
    [record] = deployed.invoke("history").of("switch")
    assert (record["release"], record["outcome"], record["action"]) == (release, "healthy", "deploy")
    [serving] = deployed.invoke("status").of("serving")
    assert serving["chosen"] and serving["health"] == "1 of 1 pods ready" and serving["release"] == release
    assert deployed.get("lease", "carboy-hello")["spec"].get("holderIdentity") is None


def test_plan(deployed: Place) -> None:
    """A plan shows the change as a diff, exits 2, and changes nothing."""
    before = deployed.get("deployment", "hello")["metadata"]["generation"]
    outcome = deployed.invoke("plan", "-e", "kubernetes_replicas=3", expect=2)
    [changed] = [event for event in outcome.of("resource") if event["status"] == "changed"]
    assert changed["resource"] == "deployment hello" and "-  replicas: 1\n+  replicas: 3\n" in changed["diff"]
    assert deployed.get("deployment", "hello")["metadata"]["generation"] == before


def test_logs(deployed: Place) -> None:
    """The access log is the same JSON as elsewhere, the other log apart from it."""
    lines = [event["line"] for event in deployed.invoke("logs", "--access", "--lines", "1").of("log")]
    assert json.loads(lines[0].partition("] ")[2])["request_path"] == "/health"
    assert "Booting worker" in deployed.invoke("logs").of("log")[-1]["line"]


def test_update_under_load(deployed: Place) -> None:
    """An update and its rollback fail no request, and both releases are seen."""
    first = deployed.serving
    with deployed.load() as load:
        updated = deployed.invoke("deploy", "-e", GREETING, "-e", "kubernetes_replicas=2")
        second = deployed.serving
        rolled = deployed.invoke("rollback")
    assert load.failures == [] and load.requests > 100
    assert sorted(load.releases) == sorted([*first, *second]) and first != second
    assert [event["before"] for event in updated.of("cutover")] == first
    assert deployed.serving == first and [event["release"] for event in rolled.of("cutover")] == first


def test_rollback_leaves_nothing(deployed: Place) -> None:
    """What a rollback brings back is gone again with the next deploy: no other manager keeps a part of it."""
    [plain] = deployed.serving
    deployed.invoke("deploy", "-e", TOKEN)
    assert [each["name"] for each in container(deployed)["env"]] == ["CARBOY_RELEASE", "TOKEN"]
    deployed.invoke("rollback")
    assert deployed.serving == [plain]
    deployed.invoke("rollback")
    assert [each["name"] for each in container(deployed)["env"]] == ["CARBOY_RELEASE", "TOKEN"]
    assert deployed.invoke("deploy").changed == ["deployment hello"]
    assert [each["name"] for each in container(deployed)["env"]] == ["CARBOY_RELEASE"]
    assert deployed.invoke("plan").changed == []


def test_irreversible(deployed: Place) -> None:
    """A rollback across a release that cannot be undone asks first; --check says so."""
    [before] = deployed.serving
    settings = json.dumps({"app_environment": {"SCHEMA": "2"}, "release_reversible": False})
    deployed.invoke("deploy", "-e", settings)
    said = error(deployed, "rollback", code=1)
    assert "cannot be undone" in said["what"] and f"--to {before} --yes" in said["hint"]
    assert "would ask first" in deployed.invoke("rollback", "--check").of("progress")[-1]["text"]
    deployed.invoke("rollback", "--to", before, "--yes")
    assert deployed.serving == [before]


def test_no_receipt(deployed: Place) -> None:
    """A receipt is refused, since this machine need not be where the clients are."""
    for verb in ("deploy", "rollback"):
        assert "receipt" in error(deployed, verb, "--receipt", code=3)["what"]


def test_somebody_else(deployed: Place) -> None:
    """What somebody changed by hand is drift, and a deploy puts it right."""
    deployed.kubectl("scale", "deployment/hello", "--replicas=0")
    assert deployed.invoke("plan", expect=2).changed == ["deployment hello"]
    deployed.invoke("deploy")
    assert deployed.get("deployment", "hello")["spec"]["replicas"] == 1


def test_image_missing(deployed: Place) -> None:
    """An image that cannot be pulled fails the deploy; the old pods serve, and the message names the image."""
    before = deployed.serving
    said = error(deployed, "deploy", "-e", "kubernetes_image=registry.invalid/hello:2", code=1)
    assert said["what"].endswith("the image registry.invalid/hello:2 cannot be pulled")
    assert f"{before[0]} still serves" in said["hint"] and "kubernetes_pull_secret" in said["hint"]
    assert deployed.serving == before
    assert deployed.invoke("plan").changed == []
    assert deployed.invoke("history").of("switch")[-1]["outcome"] == "failed"


def test_unhealthy(deployed: Place) -> None:
    """A release without its health path fails, with what the probe saw, as soon as its time to start is over."""
    before = deployed.serving
    said = error(deployed, "deploy", "-e", "app_health=/nothing", "-e", "app_start_timeout=3", code=1)
    assert said["what"].endswith("/nothing answers 404: the app has no such page")
    assert "statuscode: 404" in said["details"] and deployed.serving == before


def test_secret_missing(deployed: Place) -> None:
    """A Secret that is not there is named."""
    said = error(deployed, "deploy", "-e", '{"kubernetes_secrets": {"TOKEN": "nowhere/first"}}', code=1)
    assert 'secret "nowhere" not found' in said["what"] and "kubernetes_secrets" in said["hint"]


def test_app_that_dies(deployed: Place) -> None:
    """An app that ends itself at its start is shown with its own last words."""
    settings = json.dumps({"app_environment": {"GUNICORN_CMD_ARGS_": "", "PYTHONHOME": "/nowhere"}})
    before = deployed.serving
    said = error(deployed, "deploy", "-e", settings, code=1)
    assert "Could not find platform" in said["details"] or "encodings" in said["details"], said
    assert deployed.serving == before


def test_two_at_once(deployed: Place) -> None:
    """A second deploy at the same time exits 5 and names the holder; with --wait it comes after the first."""
    command = deployed.command("deploy", "-e", GREETING)
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], env=deployed.env, stdout=subprocess.PIPE) as first:
        assert first.stdout
        while json.loads(first.stdout.readline())["event"] != "begin":
            pass
        said = error(deployed, "deploy", code=5)
        waited = deployed.invoke("deploy", "--wait", "100")
        first.stdout.read()
    assert first.returncode == 0 and "another run holds hello:" in said["what"]
    assert waited.changed == ["deployment hello"]


def test_killed_run(deployed: Place) -> None:
    """The lock of a run that was killed frees itself, and the next deploy does the rest."""
    mark = {"CARBOY_TEST_MARK": deployed.namespace}
    command = deployed.command("deploy", "-e", GREETING)
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, env=deployed.env | mark, stdout=subprocess.PIPE) as first:
        assert first.stdout
        while json.loads(first.stdout.readline())["event"] != "begin":
            pass
        _kill_all(f"CARBOY_TEST_MARK={deployed.namespace}".encode())
    assert first.returncode
    outcome = deployed.invoke("deploy", "--wait", "60", "-e", GREETING)
    assert outcome.changed == ["deployment hello"] and deployed.invoke("plan", "-e", GREETING).changed == []


def _kill_all(mark: bytes) -> None:
    """Kill every process that was started with this in its environment."""
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in entry.read_bytes().split(b"\0"):
                os.kill(int(entry.parent.name), signal.SIGKILL)
        except OSError:
            continue


def test_ingress_comes_and_goes(deployed: Place) -> None:
    """An Ingress appears with the app's domain and goes with it, and no pod is made anew for that."""
    deployed.invoke("deploy", "-e", GREETING)
    pods = {pod["metadata"]["name"] for pod in deployed.get("pods", "-l", "app.kubernetes.io/name=hello")["items"]}
    domain = ["-e", "app_domain=hello.example.com", "-e", "ingress_class_name=nginx", "-e", GREETING]
    assert deployed.invoke("deploy", *domain).changed == ["ingress hello"]
    assert deployed.invoke("deploy", "-e", GREETING).changed == ["ingress hello"]
    assert deployed.get("ingress")["items"] == []
    left = {pod["metadata"]["name"] for pod in deployed.get("pods", "-l", "app.kubernetes.io/name=hello")["items"]}
    assert left <= pods


def test_verify(deployed: Place) -> None:
    """`invoke verify` finds everything as declared, and a pod that was tampered with not."""
    deployed.invoke("deploy", "-e", "kubernetes_replicas=2")
    deployed.invoke("verify", "--kill", "-e", "kubernetes_replicas=2")


def test_name_taken(deployed: Place) -> None:
    """An object of that name that is not Carboy's is not taken over."""
    deployed.kubectl("create", "service", "clusterip", "other", "--tcp=80:80")
    said = error(deployed, "deploy", "-e", "app_name=other", code=1)
    assert said["what"] == "Service other is there already, and not from Carboy"
    assert deployed.get("deployments")["items"][0]["metadata"]["name"] == "hello"


@pytest.mark.parametrize(
    ("variable", "code", "what", "hint"),
    [
        ("kubernetes_context=nowhere", 3, "this machine's kubectl knows no context nowhere", "known: "),
        ("kubernetes_kubeconfig=/nowhere/config", 3, "the kubeconfig cannot be read", "kubernetes_kubeconfig"),
        ("kubernetes_namespace=nowhere", 1, "has no namespace nowhere", "create namespace nowhere"),
    ],
)
def test_wrong_place(deployed: Place, variable: str, code: int, what: str, hint: str) -> None:
    """A context, a kubeconfig or a namespace that is not there is one clear error."""
    # verify asks by a way of its own, and to it a namespace that is not there is one with nothing in it.
    for verb in ("deploy", "status", *(["verify"] if code == 3 else [])):
        said = error(deployed, verb, "-e", variable, code=code)
        assert what in said["what"] and hint in said["hint"], verb


def test_cluster_down(deployed: Place, tmp_path: Path) -> None:
    """A cluster that does not answer is exit 4."""
    config = tmp_path / "config"
    config.write_text(deployed.kubeconfig.read_text().replace("server: 'https://", "server: 'https://127.0.0.1:9/"))
    for verb in ("status", "verify"):
        said = error(deployed, verb, "-e", f"kubernetes_kubeconfig={config}", code=4)
        assert "does not answer" in said["what"], verb


def test_kubectl_missing(deployed: Place) -> None:
    """Without kubectl every verb says so."""
    said = error(deployed, "deploy", code=1, env={"PATH": "/nowhere"})
    assert said["what"] == "there is no kubectl on this machine" and "install it" in said["hint"]


def test_image_that_cannot_be_built(deployed: Place, tmp_path: Path) -> None:
    """An image that the controller cannot build or push ends the deploy before anything is applied."""
    (tmp_path / "requirements.txt").write_text("flask==3.1.3\n")
    settings = {"kubernetes_image": "", "image_registry": "registry.invalid/team", "image_build": "controller"}
    more = {"app_source": str(tmp_path), "image_base": "registry.invalid/python:3"}
    before = deployed.get("deployment", "hello")["metadata"]["generation"]
    said = error(deployed, "deploy", "-e", json.dumps({**settings, **more}), code=1)
    assert "image" in said["what"] and deployed.get("deployment", "hello")["metadata"]["generation"] == before
    assert deployed.get("lease", "carboy-hello")["spec"].get("holderIdentity") is None
