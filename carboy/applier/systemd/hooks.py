"""A hook as a unit of its own, in the sandbox and environment of the release that brings it."""

from __future__ import annotations

import time
from typing import Dict

from carboy.applier.hooks import SHOWN_LINES
from carboy.applier.host import Host, remove
from carboy.applier.systemd import journal, systemctl
from carboy.applier.systemd.units import Units

# What makes the app a service: a hook is a command that ends. The running app owns the runtime directory.
SERVICE_ONLY = (
    *("StartLimitIntervalSec", "StartLimitBurst", "Sockets", "Type", "NotifyAccess", "ExecStart", "Restart"),
    *("RestartSec", "RuntimeDirectory", "TimeoutStartSec"),
)
# It remains when it has ended, so that systemd still knows which lines of the journal are its own.
COMMAND = """Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=%s
Environment=PATH=%s/venv/bin:/usr/local/bin:/usr/bin:/bin
ExecStart=/bin/sh -e %s
"""
PAUSE_SECONDS = 0.1


def execute(units: Units, release: str, moment: str) -> "tuple[str, str]":
    """Let systemd run a hook to its end; why it failed, if it did, and its last lines."""
    units.store.host.say("running %s of %s" % (moment, release))
    shown, said = _run(units, release, moment)
    if shown["Result"] == "success" and shown["ActiveState"] == "active":
        return "", said
    return "%s, exit status %s" % (shown["Result"], shown["ExecMainStatus"]), said


def _run(units: Units, release: str, moment: str) -> "tuple[Dict[str, str], str]":
    """Let systemd run it to its end; what it says of the unit then, and the last lines of the hook itself."""
    host, folder, unit = units.store.host, units.store.path(release), units.hook(release)
    limit = units.store.record(release)["gate"]["hook_timeout"]
    text = units.text(release, SERVICE_ONLY) + COMMAND % (limit, folder, folder / "hooks" / moment)
    place = host.at("%s/%s" % (systemctl.TRANSIENT, unit))
    systemctl.install(host, place, text.encode())
    systemctl.settle(host)
    host.call("systemctl", "start", unit)
    shown = systemctl.show(host, unit)[unit]
    said = journal.last_lines(host, shown, SHOWN_LINES)
    _forget(host, unit)
    remove(place)
    return shown, said


def await_end(host: Host, pattern: str) -> None:
    """Wait for the hook of a run that was killed: two migrations at once would be worse than a late one."""
    if _runs(host, pattern):
        host.say("waiting for a hook that an earlier run left behind")
    while _runs(host, pattern):
        time.sleep(PAUSE_SECONDS)
    _forget(host, pattern)


def _runs(host: Host, pattern: str) -> bool:
    return any(unit["ActiveState"] == "activating" for unit in systemctl.show(host, pattern).values())


def _forget(host: Host, units: str) -> None:
    host.call("systemctl", "stop", units)
    host.call("systemctl", "reset-failed", units)
