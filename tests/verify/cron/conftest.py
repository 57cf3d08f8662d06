"""What the checks of an app that cron looks after need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from carboy.verify.target import Target


@dataclass(frozen=True)
class Watched:
    """The instance that serves: the file that it is written down in, and the script that it is controlled by."""

    target: Target

    @property
    def record(self) -> str:
        """Its file in /run."""
        return f"/run/carboy/{self.target.app.name}/{self.target.folder.rpartition('/')[2]}.pid"

    @property
    def control(self) -> str:
        """The script that cron calls."""
        return f"{self.target.app.home}/control"


@pytest.fixture(scope="session")
def watched(target: Target) -> Watched:
    """The instance that serves."""
    return Watched(target)


@pytest.fixture
def disturbed(target: Target, watched: Watched) -> Iterator[None]:
    """No failed starts to wait for before the app is disturbed; whatever happens, it serves again afterwards."""
    target.output("%s start", watched.control)
    yield
    target.output("%s start", watched.control)
