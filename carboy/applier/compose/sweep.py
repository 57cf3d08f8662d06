"""What may go when a switch is done: containers, networks, sockets and images of releases that are not kept."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Dict, List

from carboy.applier.compose.context import prune
from carboy.applier.compose.docker import containers, docker, inspect
from carboy.applier.host import Host, remove

if TYPE_CHECKING:
    from carboy.applier.compose.runtime import Runtime


def sweep(runtime: Runtime, release: str) -> None:
    """Keep the release that serves, and the images of all releases that are on the disk."""
    store = runtime.store
    for container in containers(runtime.host, store.app):
        if container["Name"] != "/" + runtime.name(release):
            _forget(runtime, container)
    for path in (store.home / "run").glob("*"):
        if path.name != release:
            remove(path)
    _images(runtime)


def _forget(runtime: Runtime, container: Dict[str, Any]) -> None:
    runtime.host.call("docker", "rm", "--force", container["Id"])
    runtime.host.call("docker", "network", "rm", runtime.name(container["Config"]["Labels"]["carboy.release"]))


def _images(runtime: Runtime) -> None:
    """Remove images that no release names, and say what that frees."""
    host, store = runtime.host, runtime.store
    records = [store.record(name) for name in store.all()]
    kept, keys = ({str(record.get(key)) for record in records} for key in ("image", "venv"))
    found = docker(host, "image", "ls", "--quiet", "--no-trunc", "--filter", "label=carboy.app=" + store.app).split()
    gone: List[Dict[str, Any]] = inspect(host, "image", *sorted(set(found) - kept))
    before = _used(host) if gone else 0
    for image in gone:
        host.call("docker", "image", "rm", "--force", image["Id"])
    prune(store, keys)
    if gone:
        host.say("removed %d images: %.1f MB" % (len(gone), (before - _used(host)) / 1e6))


def _used(host: Host) -> int:
    found = os.statvfs(docker(host, "info", "--format", "{{.DockerRootDir}}"))
    return (found.f_blocks - found.f_bfree) * found.f_frsize
