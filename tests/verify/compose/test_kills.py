"""What happens when the app dies, and when the host is started anew."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from carboy.verify import judge
from carboy.verify.reboot import reboot
from carboy.verify.target import Record, Target

pytestmark = pytest.mark.kills
Look = Callable[[], dict[str, Any]]
RESTART_SECONDS = 30


def test_killed_main_process(target: Target, container: Look, record_property: Record) -> None:
    """kill -9 of the main process: the engine starts the container again, and it is healthy."""
    before, began = container(), time.monotonic()
    target.output("kill -9 %s", str(before["State"]["Pid"]))
    patience = RESTART_SECONDS + float(target.app.start_timeout)
    back = target.ask("look.healthy_within", target.app.listen, target.app.health, patience)
    judge.holds(back, "not back", f"docker logs {before['Name'].lstrip('/')}")
    restarts = container()["RestartCount"] - before["RestartCount"]
    judge.same({"restarts": restarts}, {"restarts": 1}, before["Name"])
    record_property("back after", f"{time.monotonic() - began:.2f} s")


@pytest.mark.reboots
def test_reboot(target: Target, record_property: Record) -> None:
    """After a reboot the same release serves, without anybody's help."""
    before, began = target.folder, time.monotonic()
    reboot(target, "systemctl reboot")
    healthy = target.ask("look.healthy_within", target.app.listen, target.app.health, float(target.app.start_timeout))
    judge.holds(healthy, f"{target.app.name} does not answer after the reboot", "systemctl status docker")
    judge.same({"current": target.release}, {"current": before.rpartition("/")[2]}, target.app.home)
    record_property("serves after", f"{time.monotonic() - began:.1f} s")
