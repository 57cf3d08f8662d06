"""What is known of a process that is not well, as facts for a person and as symptoms for the table of causes."""

from __future__ import annotations

import os
import re
import signal
import textwrap
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Dict, Optional

from carboy.applier.excerpt import Excerpt
from carboy.applier.probe import Answer

LOG_BYTES = 1 << 16
WIDTH = 100
Shown = Dict[str, str]


@dataclass(frozen=True)
class Case:
    """What is known of a unit that is not well."""

    gate: Dict[str, Any]
    shown: Shown
    log: Excerpt
    answer: Optional[Answer] = None
    kernel: str = ""
    kills: int = 0
    room: "tuple[str, ...]" = ()
    waits: str = ""


def facts(case: Case) -> str:
    """What a person should see, each fact only where it tells something."""
    lines = [probed(case.answer), _unit(case.shown), *case.log.lines]
    lines.append("waits: no connection yet to %s" % case.waits if case.waits else "")
    lines.append("memory: %d killed, limit %s" % (case.kills, _limit(case.shown) or "none") if case.kills else "")
    lines.append("kernel: " + case.kernel if case.kernel else "")
    return "\n".join(line for line in (*lines, *case.room) if line)


def symptoms(case: Case) -> str:
    """What the table of causes is read with: a line for each, by name."""
    health, answer = case.gate.get("health", ""), case.answer
    # Sure is only what ended the app, or the request: apps also log exceptions that they then cope with.
    sure = "exit status" in _unit(case.shown) or (answer and answer.status == 500)
    argv = re.search(r"argv\[\]=(.*?) ;", case.shown["ExecStart"])
    named = [
        *(("full", line.split(": ")[1]) for line in case.room if ": 0 MB" in line or " 0 inodes" in line),
        ("memory", _starved(case)),
        ("wsgi", argv[1].split()[-1] if argv else ""),
        ("unit", _unit(case.shown)),
        ("waits", case.waits),
        ("patience", "%g s" % case.gate.get("start_timeout", 0)),
        ("probe", "%d %s" % (answer.status, health) if answer and answer.status else answer and answer.error),
        *(("log", line) for line in case.log.lines),
        ("frame", case.log.frame),
        ("said" if sure else "heard", case.log.said),
        ("place", case.log.place),
    ]
    return "\n".join("%s: %s" % pair for pair in named if pair[1])


def recent(path: Any, since: float) -> str:
    """The end of a log of gunicorn's, from the first line that is not older; what lies between two has no time."""
    if not path.exists():
        return ""
    with open(path, "rb") as log:
        log.seek(-min(LOG_BYTES, path.stat().st_size), os.SEEK_END)
        lines = log.read().decode("utf-8", "replace").splitlines()
    old = [at for at, line in enumerate(lines) if 0 < _time(line) < int(since)]
    later = [at for at, line in enumerate(lines) if _time(line) and at > max(old, default=-1)]
    return "\n".join(lines[later[0] :]) if later else ""


def _time(line: str) -> float:
    stamp = re.match(r"\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4})\]", line)
    return datetime.strptime(stamp[1], "%Y-%m-%d %H:%M:%S %z").timestamp() if stamp else 0.0


def probed(answer: Optional[Answer]) -> str:
    """What the probe saw, on one line and without markup; empty if nobody asked."""
    if not answer:
        return ""
    body = re.sub(r"(?s)<title>.*?</title>|<[^>]*>", " ", answer.body)
    words = "%d %s" % (answer.status, body) if answer.status else answer.error
    return "probe: " + textwrap.shorten(words, WIDTH, placeholder=" ...")


def _unit(shown: Shown) -> str:
    """The unit's state, unless all is well with it."""
    status, code = int(shown["ExecMainStatus"] or 0), shown["ExecMainCode"]
    ended = {"1": "exit status %d" % status, "2": _killed(status), "3": _killed(status)}.get(code, "")
    restarts = "restarts: %s" % shown["NRestarts"] if shown["NRestarts"] not in ("", "0") else ""
    if shown["ActiveState"] == "active" and not restarts:
        return ""
    result = "unit: %s (%s)" % (shown["ActiveState"], shown["Result"])
    return ", ".join(part for part in (result, ended, restarts) if part)


def _killed(number: int) -> str:
    known = {each.value: each.name for each in signal.Signals}
    return "killed by %s" % known.get(number, "signal %d" % number)


def _limit(shown: Shown) -> str:
    return "%d MB" % (int(shown["MemoryMax"]) >> 20) if shown["MemoryMax"].isdigit() else ""


def _starved(case: Case) -> str:
    """Whether the kernel killed for want of memory, as far as anybody says so."""
    limit = _limit(case.shown)
    sure = case.shown["Result"] == "oom-kill" or case.kernel or case.kills
    if sure:
        return "killed at %s" % limit if limit and not case.kernel.startswith("Out of memory") else "killed"
    killed = "killed by SIGKILL" in _unit(case.shown) and case.shown["Result"] != "timeout"
    suspect = killed or any("sent SIGKILL" in line for line in case.log.lines)
    return "suspect at %s" % limit if suspect and limit else ""
