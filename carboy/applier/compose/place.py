"""Where one release is asked, not one that serves beside it."""

from __future__ import annotations

from carboy.applier.compose.docker import inspect, project
from carboy.applier.probe import Address
from carboy.applier.store import Store

SOCKET = "app.sock"


def address(store: Store, release: str) -> Address:
    """Where one release alone is asked."""
    gate = store.record(release)["gate"]
    if gate["listen"].startswith("/"):
        return str(store.home / "run" / release / SOCKET)
    return inside(store, project(store.app, release))


def inside(store: Store, name: str) -> Address:
    """The address of a container in the network that its release has alone; one that nobody has if it is not up."""
    found = inspect(store.host, "container", name)
    networks = found[0]["NetworkSettings"]["Networks"] if found else {}
    addresses = [each["IPAddress"] for each in networks.values() if each["IPAddress"]]
    label = found[0]["Config"]["Labels"]["carboy.release"] if found else ""
    port = store.record(label)["gate"]["port"] if label else 0
    return (addresses[0] if addresses else "127.0.0.1", port if addresses else 1)
