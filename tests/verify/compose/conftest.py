"""What the checks of an app in containers need."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from carboy.verify import judge
from carboy.verify.target import Target

Container = dict[str, Any]


@pytest.fixture
def container(target: Target) -> Callable[[], Container]:
    """How to look at the container of the release that `current` points to."""
    name = f"{target.app.name}-{target.folder.rpartition('/')[2].lower()}"

    def look() -> Container:
        done = target.host.run("docker container inspect %s", name)
        judge.holds(done.rc == 0, f"there is no container {name}", target.repair)
        found: Container = json.loads(done.stdout)[0]
        return found

    return look
