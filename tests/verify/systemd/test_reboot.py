"""What is there after the host was started anew."""

from __future__ import annotations

import time

import pytest
from testinfra.host import Host

from carboy.verify import judge
from carboy.verify.reboot import reboot
from carboy.verify.target import Record, Target


@pytest.mark.kills
@pytest.mark.reboots
def test_reboot(host: Host, target: Target, record_property: Record) -> None:
    """After a reboot the same release serves, without anybody's help."""
    before, began = target.unit, time.monotonic()
    reboot(target, "systemctl reboot")
    host.run("systemctl is-system-running --wait")
    # Asked before the first request, which would start the service through its socket.
    judge.same(target.show(before, "ActiveState"), {"ActiveState": "active"}, before, f"systemctl enable '{before}'")
    healthy = target.ask("look.healthy_within", target.app.listen, target.app.health, float(target.app.start_timeout))
    judge.holds(healthy, f"{before} does not answer after the reboot", f"invoke logs --host {target.name}")
    judge.same({"current": target.release}, {"current": target.folder.rpartition("/")[2]}, target.app.home)
    record_property("serves after", f"{time.monotonic() - began:.1f} s")
