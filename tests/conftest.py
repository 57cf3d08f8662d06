"""What every test begins with."""

from __future__ import annotations

import pytest

from carboy import source


@pytest.fixture(autouse=True)
def unread() -> None:
    """A run reads the app's files once; each test is a run of its own."""
    source.forget()
