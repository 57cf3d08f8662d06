"""A failure explained: what the probe, the engine, the container and the disks say, and the likely cause."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from carboy.applier.case import probed
from carboy.applier.causes import likely
from carboy.applier.compose.docker import inspect, up
from carboy.applier.excerpt import Excerpt, excerpt
from carboy.applier.probe import Answer
from carboy.applier.resource import Failure
from carboy.applier.space import room

if TYPE_CHECKING:
    from carboy.applier.compose.runtime import Runtime

LOG_LINES = 200
LOG_BYTES = 1 << 15
WIDTH = 100


@dataclass(frozen=True)
class Case:
    """What is known of a container that is not well."""

    gate: Dict[str, Any]
    shown: Dict[str, Any]
    log: Excerpt
    answer: Optional[Answer]
    disks: List[str]


def failure(runtime: Runtime, release: str, what: str, *, name: str = "", answer: Optional[Answer] = None) -> Failure:
    """The whole failure: `what` with the likely cause, the facts, and what to do next; `name` is another container."""
    look = "docker logs %s" % name if name else "tail -n 100 %s" % _error_log(runtime)
    try:
        case = _read(runtime, release, name or runtime.name(release), answer)
        cause = likely("\n".join(_symptoms(case)))
        what = "%s: %s" % (what, cause.words) if cause.words else what
        hint = "%s; more: %s" % (cause.remedy.replace("<app>", runtime.store.app), cause.look or look)
        return Failure(what, details="\n".join(_facts(case)), hint=hint)
    except Exception as problem:
        # The way back must not end here because something could not be explained.
        return Failure(what, details="the facts could not be had: %r" % problem, hint="see: " + look)


def _read(runtime: Runtime, release: str, name: str, answer: Optional[Answer]) -> Case:
    """Ask the engine for all that may tell something."""
    shown, said = inspect(runtime.host, "container", name), _log(runtime, name)
    return Case(
        gate=runtime.store.record(release).get("gate", {}),
        shown=shown[0]["State"] if shown else {},
        log=excerpt(said, "/srv/%s/release" % runtime.store.app),
        answer=answer,
        disks=room(runtime.host, said),
    )


def _facts(case: Case) -> List[str]:
    """What a person should see, each fact only where it tells something."""
    return [line for line in (probed(case.answer), _state(case.shown), *case.log.lines, *case.disks) if line]


def _symptoms(case: Case) -> List[str]:
    """What the table of causes is read with: a line for each, by name."""
    log, answer, health = case.log, case.answer, case.gate.get("health", "")
    sure = not up(case.shown) or (answer and answer.status == 500)
    named = [
        *(("full", line.split(": ")[1]) for line in case.disks if ": 0 MB" in line or " 0 inodes" in line),
        ("memory", "killed" if case.shown.get("OOMKilled") else ""),
        ("unit", _state(case.shown)),
        ("patience", "%g s" % case.gate.get("start_timeout", 0)),
        ("probe", "%d %s" % (answer.status, health) if answer and answer.status else answer and answer.error),
        *(("log", line) for line in log.lines),
        ("frame", log.frame),
        ("said" if sure else "heard", log.said),
        ("place", log.place),
    ]
    return ["%s: %s" % pair for pair in named if pair[1]]


def _log(runtime: Runtime, name: str) -> str:
    done = runtime.host.call("docker", "logs", "--tail", str(LOG_LINES), name)
    path = _error_log(runtime)
    if name.endswith("-candidate") or not path.exists():
        return str(done.stdout + done.stderr)
    with open(path, "rb") as log:
        log.seek(-min(LOG_BYTES, path.stat().st_size), 2)
        return str(done.stdout + done.stderr) + log.read().decode("utf-8", "replace")


def _error_log(runtime: Runtime) -> Path:
    return runtime.host.at("/var/log/%s/error.log" % runtime.store.app)


def _state(shown: Dict[str, Any]) -> str:
    """The container's state, unless all is well with it."""
    if not shown or up(shown):
        return "" if shown else "container: it is gone"
    killed = ", killed for want of memory" if shown["OOMKilled"] else ""
    said = ": " + shown["Error"] if shown["Error"] else ""
    return "container: %s, exit status %d%s%s" % (shown["Status"], shown["ExitCode"], killed, said)
