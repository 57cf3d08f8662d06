"""What leads to the pods, and whether all objects are as declared."""

from __future__ import annotations

import json

from carboy.applier.kubernetes.manifest import Manifest
from carboy.verify import judge
from carboy.verify.cluster import Cluster
from carboy.verify.target import Target

TIMES = 5


def test_declared(target: Target, cluster: Cluster) -> None:
    """Every declared object is there, and each is managed by Carboy."""
    manifests = [resource for _, resource in target.declared.catalog.entries if isinstance(resource, Manifest)]
    found = {each.title(): cluster.get(each.kind.lower(), each.name) for each in manifests}
    missing = sorted(title for title, item in found.items() if not item)
    judge.none(missing, "objects that are not there", target.repair)
    managed = "app.kubernetes.io/managed-by"
    strange = [title for title, item in found.items() if item["metadata"]["labels"].get(managed) != "carboy"]
    judge.none(sorted(strange), "objects that are not Carboy's", target.repair)


def test_environment(target: Target, cluster: Cluster) -> None:
    """The app has the environment that was declared, and its release by name."""
    [config] = [each for _, each in target.declared.catalog.entries if getattr(each, "kind", "") == "ConfigMap"]
    assert isinstance(config, Manifest)
    wanted = {**config.content["data"], "CARBOY_RELEASE": cluster.release}
    text = cluster.execute(cluster.pods()[0], "cat", "/proc/1/environ")
    found = dict(entry.partition("=")[::2] for entry in text.split("\0"))
    wrong = sorted(name for name, value in wanted.items() if found.get(name) != value)
    judge.none(wrong, "variables that are not as declared", target.repair)


def test_health(target: Target, cluster: Cluster) -> None:
    """The Service answers on the health path, and it is the release that answers."""
    answers = [cluster.ask(target.app.health) for _ in range(TIMES)]
    try:
        named = {json.loads(answer).get("release", cluster.release) for answer in answers}
    except (ValueError, AttributeError):
        return
    judge.none(sorted(named - {cluster.release}), "other releases that answer", target.repair)


def test_endpoints(target: Target, cluster: Cluster) -> None:
    """The Service leads to every pod."""
    subsets = cluster.get("endpoints", cluster.settings.name).get("subsets", [])
    led = {address["targetRef"]["name"] for subset in subsets for address in subset.get("addresses", [])}
    pods = {pod["metadata"]["name"] for pod in cluster.pods()}
    judge.none(sorted(pods - led), "pods that the Service does not lead to", target.repair)


def test_limits(target: Target, cluster: Cluster) -> None:
    """The memory limit that was declared is the one that the kernel holds the app to."""
    if not target.app.memory_max:
        return
    script = "cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes"
    found = cluster.execute(cluster.pods()[0], "sh", "-c", script)
    wanted = int(target.app.memory_max)
    judge.holds(found == str(wanted), f"the limit of memory is {found}, not {wanted}", target.repair)
