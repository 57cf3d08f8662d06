"""What may go when a switch is done: containers, networks, sockets and images of releases that are not kept."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Dict

from carboy.applier.compose.context import prune
from carboy.applier.compose.docker import containers, docker
from carboy.applier.compose.hooks import container as hook
from carboy.applier.host import Host, remove

if TYPE_CHECKING:
    from carboy.applier.compose.runtime import Runtime


def sweep(runtime: Runtime, release: str) -> None:
    """Keep the release that serves, and the images of all releases that are on the disk."""
    store = runtime.store
    for container in containers(runtime.host, store.app):
        if container["Name"] != "/" + runtime.name(release) and not _works(runtime, container):
            _forget(runtime, container)
    for path in (store.home / "run").glob("*"):
        if path.name != release:
            remove(path)
    _images(runtime)


def _works(runtime: Runtime, container: Dict[str, Any]) -> bool:
    """Whether it is a hook that runs: what it has begun it shall finish, whatever became of its run."""
    return container["Name"] == "/" + hook(runtime) and bool(container["State"]["Running"])


def _forget(runtime: Runtime, container: Dict[str, Any]) -> None:
    runtime.host.call("docker", "rm", "--force", container["Id"])
    runtime.host.call("docker", "network", "rm", runtime.name(container["Config"]["Labels"]["carboy.release"]))


def _images(runtime: Runtime) -> None:
    """Remove images that no release names, and say what that frees."""
    host, store = runtime.host, runtime.store
    records = [store.record(name) for name in store.all()]
    kept, keys = ({str(record.get(key)) for record in records} for key in ("image", "venv"))
    listing = ("image", "ls", "--quiet", "--no-trunc", "--filter")
    found = docker(host, *listing, "label=carboy.app=" + store.app).split()
    # A builder without a cache of its own leaves the stage with the packages: the newest spares the next build its own.
    stages = docker(host, *listing, "label=carboy.packages=" + store.app).split()
    gone = {*found, *stages[1:]} - kept
    before = _used(host) if gone else 0
    for image in sorted(gone):
        host.call("docker", "image", "rm", "--force", image)
    prune(store, keys)
    if gone:
        host.say("removed %d images: %.1f MB" % (len(gone), (before - _used(host)) / 1e6))


def _used(host: Host) -> int:
    found = os.statvfs(docker(host, "info", "--format", "{{.DockerRootDir}}"))
    return (found.f_blocks - found.f_bfree) * found.f_frsize
