"""A reboot of a host, whatever it is, and how one boot is told from another."""

from __future__ import annotations

import subprocess
from contextlib import suppress

from carboy.errors import UnreachableError
from carboy.verify import judge
from carboy.verify.target import Target

BOOT_SECONDS = 300
# Containers keep the kernel and its boot_id; then only the start of PID 1 tells one boot from another.
BOOT = "cat /proc/sys/kernel/random/boot_id; cut -d' ' -f22 /proc/1/stat"


def reboot(target: Target, command: str) -> None:
    """Reboot the host and wait until it lets us in again; `command` does that there, unless the inventory knows how."""
    before = target.output(BOOT)
    own = target.declared.host.value("carboy_reboot_command")
    if own:
        subprocess.run(own, shell=True, check=True, stdout=subprocess.DEVNULL)
    else:
        # The sleep lasts as long as the connection: a host that is still going down would let us in again.
        with suppress(UnreachableError):
            target.host.run(f"{command} && sleep %s", str(BOOT_SECONDS))
    target.backend.reopen(BOOT_SECONDS)
    judge.holds(target.output(BOOT) != before, "the host did not reboot", "set carboy_reboot_command")
