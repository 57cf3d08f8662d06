"""Checks of real hosts, each named by its docstring; only `invoke verify` collects them, once for each host."""

from __future__ import annotations

from pathlib import Path

import pytest
from testinfra.host import Host

from carboy.verify.session import Verification
from carboy.verify.target import Target


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:  # noqa: ARG001 - pytest's form
    """Without hosts, as under a plain `pytest`, there is nothing to check here."""
    running = any(isinstance(plugin, Verification) for plugin in config.pluginmanager.get_plugins())
    return None if running else True


@pytest.fixture(scope="session")
def host(target: Target) -> Host:
    """The host as testinfra knows it."""
    return target.host
