"""What is there after the host was started anew."""

from __future__ import annotations

import time

import pytest

from carboy.verify import judge
from carboy.verify.reboot import reboot
from carboy.verify.target import Record, Target

# cron looks once a minute, the first time within one.
TICK_SECONDS = 65


@pytest.mark.kills
@pytest.mark.reboots
def test_reboot(target: Target, record_property: Record) -> None:
    """After a reboot the same release serves, without anybody's help."""
    before, began = target.folder, time.monotonic()
    reboot(target, "reboot")
    patience = TICK_SECONDS + float(target.app.start_timeout)
    healthy = target.ask("look.healthy_within", target.app.listen, target.app.health, patience)
    judge.holds(healthy, f"{target.app.name} does not answer after the reboot", f"{target.app.home}/control status")
    judge.same({"current": target.release}, {"current": before.rpartition("/")[2]}, target.app.home)
    record_property("serves after", f"{time.monotonic() - began:.1f} s")
