"""gevent serves apps that live on what they keep in memory."""

from __future__ import annotations

import pytest
from testinfra.host import Host

from carboy.verify import judge
from carboy.verify.target import Target


def test_exactly_one_process(host: Host, target: Target) -> None:
    """The app is exactly one process, so that every request finds what another one left in memory."""
    if target.app.runtime not in ("systemd", "cron"):
        pytest.skip(f"the processes of {target.app.runtime} are not those of a user of this host")
    served = [each for each in host.process.filter(user=target.app.name) if "carboy_gevent.py" in each.args]
    judge.same({"processes": len(served)}, {"processes": 1}, f"the user {target.app.name}", target.repair)
