"""The app in its cluster, as the checks see it."""

from __future__ import annotations

import pytest

from carboy.verify.cluster import Cluster
from carboy.verify.target import Target


@pytest.fixture(scope="session")
def cluster(target: Target) -> Cluster:
    """The app's namespace, by kubectl on the machine that has it."""
    return target.cluster
