"""What the checks of systemd need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from carboy.verify.target import Target


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
