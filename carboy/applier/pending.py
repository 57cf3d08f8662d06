"""Whether a guarded change is neither confirmed nor taken back yet."""

from __future__ import annotations

import time

from carboy.applier.host import STATE, Host
from carboy.applier.resource import Stranded
from carboy.applier.systemd import systemctl

FOLDER = STATE + "/deadman"
UNIT = "carboy-deadman"
BOOT_UNIT = "carboy-deadman-boot.service"
POLL_SECONDS = 0.05
# So many seconds may pass between the first attempt to put things back and the last one that is waited for.
TRIES = 30


def pending(host: Host) -> bool:
    """Whether there is a change that may still go back: one that can be confirmed, or that is just being taken back."""
    return any((host.at(FOLDER) / name).exists() for name in ("token", "fired"))


def outlast(host: Host) -> None:
    """Wait until the change is confirmed or taken back; raises `Stranded` if nothing does so, or in vain."""
    tries = TRIES
    while not _gone(host, within=1.0):
        tries -= (host.at(FOLDER) / "fired").exists()
        # In this order: what was pending may have come to its end a moment ago.
        if not tries or (not _ticking(host) and pending(host)):
            raise stranded("a change that nobody confirmed was not taken back", "")


def stranded(what: str, details: str) -> Stranded:
    """The error where the switch itself failed."""
    hint = "on the host's own console, as root: sh %s/restore" % FOLDER
    return Stranded(what + "; what was there could not be put back", details=details, hint=hint)


def _gone(host: Host, within: float) -> bool:
    deadline = time.monotonic() + within
    while host.at(FOLDER).exists() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return not host.at(FOLDER).exists()


def _ticking(host: Host) -> bool:
    units = systemctl.show(host, UNIT + ".timer", UNIT + ".service", BOOT_UNIT)
    return any(unit["ActiveState"] in systemctl.RUNNING for unit in units.values())
