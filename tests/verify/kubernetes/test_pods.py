"""The pods, and how they are kept from doing harm: asked in the running containers, not read from manifests."""

from __future__ import annotations

import time

import pytest

from carboy.applier.kubernetes.manifest import RELEASE
from carboy.verify import judge
from carboy.verify.cluster import Cluster, ready
from carboy.verify.target import Target

REPLACED_SECONDS = 90
STATUS = {"CapEff": "0000000000000000", "CapBnd": "0000000000000000", "NoNewPrivs": "1", "Seccomp": "2"}


def test_pods(target: Target, cluster: Cluster) -> None:
    """As many pods as declared are ready, all of the release that was deployed."""
    pods, wanted = cluster.pods(), cluster.deployment["spec"]["replicas"]
    serving = [pod for pod in pods if ready(pod) and pod["metadata"]["labels"].get(RELEASE) == cluster.release]
    others = sorted({pod["metadata"]["name"] for pod in pods} - {pod["metadata"]["name"] for pod in serving})
    judge.none(others, "pods that are not ready or of another release", target.repair)
    judge.holds(len(serving) == wanted, f"{len(serving)} pods are ready, and {wanted} should be", target.repair)


def test_account(target: Target, cluster: Cluster) -> None:
    """The app runs as the user of its image, without capabilities, under seccomp, and can get no more rights."""
    for pod in cluster.pods():
        lines = cluster.execute(pod, "cat", "/proc/1/status").splitlines()
        found = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
        wrong = [name for name, value in STATUS.items() if found.get(name, ["?"])[-1] != value]
        judge.none(wrong, f"of {pod['metadata']['name']} not as hardened as it should be", target.repair)
        user = str(cluster.settings.built.uid)
        judge.holds(set(found["Uid"]) == {user}, f"the app runs as {found['Uid'][0]}, not as {user}", target.repair)


def test_files(target: Target, cluster: Cluster) -> None:
    """The image cannot be written to, /tmp is in memory, and no token of the cluster lies about."""
    pod = cluster.pods()[0]
    mounts = dict(line.split()[1:3] for line in cluster.execute(pod, "cat", "/proc/1/mounts").splitlines())
    flags = {line.split()[1]: line.split()[3] for line in cluster.execute(pod, "cat", "/proc/1/mounts").splitlines()}
    judge.holds(flags["/"].split(",")[0] == "ro", "the root file system can be written to", target.repair)
    judge.holds(mounts.get("/tmp") == "tmpfs", "/tmp is not in memory", target.repair)
    tokens = [place for place in mounts if "serviceaccount" in place]
    judge.none(tokens, "places where a token of the cluster lies", target.repair)


@pytest.mark.kills
def test_pod_replaced(target: Target, cluster: Cluster) -> None:
    """A pod that is taken away is replaced, and the Service answers all the while."""
    pods = [pod["metadata"]["name"] for pod in cluster.pods()]
    if len(pods) < 2:
        pytest.skip("there is only one pod: nobody could answer meanwhile")
    cluster.kubectl("delete", "pod", pods[0], "--wait=false")
    until = time.monotonic() + REPLACED_SECONDS
    while len([pod for pod in cluster.pods() if ready(pod)]) < len(pods):
        cluster.ask(target.app.health)
        judge.holds(time.monotonic() < until, f"no new pod was ready after {REPLACED_SECONDS} s", target.repair)
