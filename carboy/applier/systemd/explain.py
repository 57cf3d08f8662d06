"""A failure explained: what the probe, systemd, the app, the kernel and the disks say, and the likely cause."""

from __future__ import annotations

import os
import re
import time
from typing import Any, Optional

from carboy.applier.case import Case, Shown, facts, recent, symptoms
from carboy.applier.causes import likely
from carboy.applier.excerpt import excerpt
from carboy.applier.host import Host
from carboy.applier.probe import Answer
from carboy.applier.resource import Failure
from carboy.applier.space import room
from carboy.applier.systemd import journal
from carboy.applier.systemd.units import Units
from carboy.applier.waiting import unanswered

PROPERTIES = (
    "ActiveState,Result,ExecMainCode,ExecMainStatus,MainPID,NRestarts,FragmentPath,ExecStart,ControlGroup,MemoryMax,"
    "ReadWritePaths"
)
CGROUPS = ("/sys/fs/cgroup%s/memory.events", "/sys/fs/cgroup/memory%s/memory.oom_control")
# What is worth reading of systemd's own words; how the app died only if its state is of a later start.
REASONS = re.compile("Failed to (?!start)|Failed at step|OOM killer")
DEATHS = re.compile(REASONS.pattern + "|Main process exited")
SETTLE_SECONDS = 2.0
JOURNAL_LINES = 200
# A release may have served for days: what its log said then is no answer.
RECENT_SECONDS = 600.0


def failure(units: Units, unit: str, what: str, answer: Optional[Answer] = None) -> Failure:
    """The whole failure: `what` with the likely cause, the facts, and what to do next."""
    look = "journalctl -u %s -n 100" % unit if "-candidate@" in unit else "tail -n 100 %s" % _error_log(units)
    try:
        case = read(units, unit, answer)
        cause = likely(symptoms(case))
        what = "%s: %s" % (what, cause.words) if cause.words else what
        hint = "%s; more: %s" % (cause.remedy.replace("<app>", units.store.app), cause.look or look)
        return Failure(what, details=facts(case), hint=hint)
    except Exception as problem:
        # The way back must not end here because something could not be explained.
        return Failure(what, details="the facts could not be had: %r" % problem, hint="see: " + look)


def read(units: Units, unit: str, answer: Optional[Answer]) -> Case:
    """Ask the host for all that may tell something."""
    host, release = units.store.host, unit.partition("@")[2][: -len(".service")]
    shown, log = _settled(units, unit, answer)
    return Case(
        gate=units.store.record(release).get("gate", {}),
        shown=shown,
        log=excerpt(log, str(units.store.path(release))),
        answer=answer,
        kernel=_kernel(host, unit, _since(shown)),
        kills=_kills(host, shown),
        room=tuple(room(host, log, *shown["ReadWritePaths"].split())),
        waits=", ".join(unanswered(host, shown["MainPID"])),
    )


def _settled(units: Units, unit: str, answer: Optional[Answer]) -> "tuple[Shown, str]":
    """The unit's state and log; after a connection that broke, once gunicorn has said what became of its worker."""
    until = time.monotonic() + SETTLE_SECONDS
    while True:
        shown = _show(units.store.host, unit)
        log = _log(units, unit, shown)
        broke = answer and answer.error and "nothing within" not in answer.error
        if not broke or shown["ActiveState"] != "active" or "Worker (pid:" in log or time.monotonic() > until:
            return shown, log
        time.sleep(0.1)


def _show(host: Host, unit: str) -> Shown:
    text = host.run("systemctl", "show", "--property", PROPERTIES, "--", unit)
    found = dict(line.partition("=")[::2] for line in text.splitlines())
    return {name: found.get(name, "") for name in PROPERTIES.split(",")}


def _log(units: Units, unit: str, shown: Shown) -> str:
    """What was said by the unit, and of it by systemd, since it was started; a candidate says all to the journal."""
    host, since = units.store.host, _since(shown)
    # By both names: who dies at once, as where the sandbox cannot be made, is gone before its unit can be looked up.
    lines = _journal(host, since, "_SYSTEMD_UNIT=" + unit, "+", "UNIT=" + unit).splitlines()
    reasons = REASONS if shown["NRestarts"] in ("", "0") else DEATHS
    said = "\n".join(line for line in lines if unit not in line or reasons.search(line)).replace(unit + ": ", "")
    return said if "-candidate@" in unit else "%s\n%s" % (said, recent(_error_log(units), since))


def _journal(host: Host, since: float, *match: str) -> str:
    return journal.journal(host, "-n", str(JOURNAL_LINES), "--since=@%d" % since, *match)


def _error_log(units: Units) -> Any:
    return units.store.host.at("/var/log/%s/error.log" % units.store.app)


def _since(shown: Shown) -> float:
    """When this try began: its unit file is made anew, while each restart after a crash is a new start."""
    path = shown["FragmentPath"]
    return max(os.stat(path).st_mtime if os.path.exists(path) else 0.0, time.time() - RECENT_SECONDS)


def _kernel(host: Host, unit: str, since: float) -> str:
    """The line about a process of this unit that was killed for want of memory."""
    said = _journal(host, since, "_TRANSPORT=kernel").splitlines()
    mine = [at for at, line in enumerate(said) if line.startswith("oom-kill:") and "/%s," % unit in line]
    killed = (re.match(r".*Killed process.*?anon-rss:\w+", line) for line in said[mine[-1] :]) if mine else ()
    return next((found[0] for found in killed if found), "")


def _kills(host: Host, shown: Shown) -> int:
    """How often the kernel killed in the unit's group, which is there as long as the unit runs."""
    for pattern in CGROUPS:
        path = host.at(pattern % shown["ControlGroup"])
        found = re.search(r"^oom_kill (\d+)", path.read_text(), re.MULTILINE) if path.exists() else None
        if found and shown["ControlGroup"]:
            return int(found[1])
    return 0
