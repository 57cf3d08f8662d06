"""Checks of real hosts, each named by its docstring; only `invoke verify` collects them, once for each host."""

from __future__ import annotations

from collections.abc import Iterator
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


@pytest.fixture
def disturbed(target: Target) -> Iterator[None]:
    """Counters of starts at zero before the app is disturbed; whatever happens, it serves again afterwards."""
    units = (target.socket, f"{target.app.name}-probe@{target.folder.rpartition('/')[2]}.socket", target.unit)
    target.host.run("systemctl reset-failed %s %s %s", *units)
    yield
    target.host.run("systemctl reset-failed %s %s %s", *units)
    target.host.run("systemctl start %s %s %s", *units)
    answer = target.ask("look.healthy_within", target.app.listen, target.app.health, float(target.app.start_timeout))
    assert answer, f"{target.unit} does not serve again after this check\nnext: {target.repair}"
