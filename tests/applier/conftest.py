"""A host below a temporary root, with a controller at the other end of its stream."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from carboy.applier.host import Host
from carboy.applier.resource import Drift, Resource
from tests.support.controller import Controller

HOLDER = {"who": "me", "where": "here", "since": "now", "run": "r1"}


@pytest.fixture
def controller() -> Iterator[Controller]:
    """The other end of the host's stream."""
    controller = Controller()
    yield controller
    controller.close()


@pytest.fixture
def host(tmp_path: Path, controller: Controller) -> Host:
    """A host whose whole world lies below a temporary folder."""
    root = tmp_path / "root"
    root.mkdir()
    return Host(controller.stream, root=str(root), args={"run": "r1", "holder": HOLDER})


def converge(host: Host, resource: Resource) -> Drift:
    """Fetch what a resource lacks and repair it, as a deploy does; returns what had drifted."""
    drift = resource.drift(host)
    while needs := list(resource.lacks(host)):
        host.fetch(needs)
    if drift:
        resource.repair(host, drift)
    return drift
