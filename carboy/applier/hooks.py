"""Hooks: commands that a release brings for the time around its cutover, run in its own sandbox and environment."""

from __future__ import annotations

import time
from typing import Dict

from carboy.applier import systemd
from carboy.applier.host import Host, remove
from carboy.applier.resource import Failure
from carboy.applier.units import Units

BEFORE, AFTER = "before_cutover", "after_cutover"
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
SHOWN_LINES = 15
PAUSE_SECONDS = 0.1


def run(units: Units, release: str, moment: str) -> bool:
    """Run what a release brings for a moment, if anything; raises `Failure` with its last words if it fails."""
    host, folder = units.store.host, units.store.path(release)
    if not (folder / "hooks" / moment).exists():
        return False
    once = moment in units.store.record(release)["gate"]["once"]
    if once and moment in host.args.get("done", ()):
        host.say("%s was run on another host of this run" % moment)
        return True
    began = time.monotonic()
    _await(host, units.hook("*"))
    host.say("running %s of %s" % (moment, release))
    shown, said = _execute(units, release, moment)
    if shown["Result"] != "success" or shown["ActiveState"] != "active":
        why = "%s, exit status %s" % (shown["Result"], shown["ExecMainStatus"])
        hint = "correct release_%s, or what it needs, and deploy again" % moment
        raise Failure("%s failed (%s)" % (moment, why), details=said, hint=hint)
    host.stream.emit("hook", moment=moment, said=said, seconds=round(time.monotonic() - began, 3), once=once)
    return True


def _execute(units: Units, release: str, moment: str) -> "tuple[Dict[str, str], str]":
    """Let systemd run it to its end; what it says of the unit then, and the last lines of the hook itself."""
    host, folder, unit = units.store.host, units.store.path(release), units.hook(release)
    limit = units.store.record(release)["gate"]["hook_timeout"]
    text = units.text(release, SERVICE_ONLY) + COMMAND % (limit, folder, folder / "hooks" / moment)
    place = host.at("%s/%s" % (systemd.TRANSIENT, unit))
    systemd.install(host, place, text.encode())
    systemd.settle(host)
    host.call("systemctl", "start", unit)
    shown = systemd.show(host, unit)[unit]
    said = systemd.last_lines(host, shown, SHOWN_LINES)
    _forget(host, unit)
    remove(place)
    return shown, said


def _await(host: Host, pattern: str) -> None:
    """Wait for the hook of a run that was killed: two migrations at once would be worse than a late one."""
    if _runs(host, pattern):
        host.say("waiting for a hook that an earlier run left behind")
    while _runs(host, pattern):
        time.sleep(PAUSE_SECONDS)
    _forget(host, pattern)


def _runs(host: Host, pattern: str) -> bool:
    return any(unit["ActiveState"] == "activating" for unit in systemd.show(host, pattern).values())


def _forget(host: Host, units: str) -> None:
    host.call("systemctl", "stop", units)
    host.call("systemctl", "reset-failed", units)
