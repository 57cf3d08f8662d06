"""What is there after the host was started anew."""

from __future__ import annotations

import subprocess
import time
from contextlib import suppress

import pytest
from testinfra.host import Host

from carboy.errors import UnreachableError
from carboy.verify import judge
from carboy.verify.target import Record, Target

BOOT_SECONDS = 300
# Containers keep the kernel and its boot_id; then only the start of PID 1 tells one boot from another.
BOOT = "cat /proc/sys/kernel/random/boot_id; cut -d' ' -f22 /proc/1/stat"


@pytest.mark.kills
@pytest.mark.reboots
def test_reboot(host: Host, target: Target, record_property: Record) -> None:
    """After a reboot the same release serves, without anybody's help."""
    before, boot, began = target.unit, target.output(BOOT), time.monotonic()
    _reboot(target)
    target.backend.reopen(BOOT_SECONDS)
    judge.holds(target.output(BOOT) != boot, "the host did not reboot", "set carboy_reboot_command")
    host.run("systemctl is-system-running --wait")
    # Asked before the first request, which would start the service through its socket.
    judge.same(target.show(before, "ActiveState"), {"ActiveState": "active"}, before, f"systemctl enable '{before}'")
    healthy = target.ask("look.healthy_within", target.app.listen, target.app.health, float(target.app.start_timeout))
    judge.holds(healthy, f"{before} does not answer after the reboot", f"invoke logs --host {target.name}")
    judge.same({"current": target.release}, {"current": target.folder.rpartition("/")[2]}, target.app.home)
    record_property("serves after", f"{time.monotonic() - began:.1f} s")


def _reboot(target: Target) -> None:
    """Reboot the host: over SSH, or by the inventory's own command where that cannot work, as in a container."""
    command = target.declared.host.value("carboy_reboot_command")
    if command:
        subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL)
        return
    # The sleep lasts as long as the connection: a host that is still going down would let us in again.
    with suppress(UnreachableError):
        target.host.run("systemctl reboot && sleep %s", str(BOOT_SECONDS))
