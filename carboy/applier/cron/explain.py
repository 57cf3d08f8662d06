"""A failure without systemd explained: what the instance said, how it ended, and what the host says."""

from __future__ import annotations

import json
from typing import Dict, Optional

from carboy.applier.case import Case, facts, recent, symptoms
from carboy.applier.causes import likely
from carboy.applier.cron.instances import CANDIDATE, Instances
from carboy.applier.excerpt import excerpt
from carboy.applier.probe import Answer
from carboy.applier.resource import Failure
from carboy.applier.space import room
from carboy.applier.waiting import unanswered

SAID_BYTES = 1 << 16
KINDS = {"exit": "1", "signal": "2"}


def failure(instances: Instances, instance: str, what: str, answer: Optional[Answer] = None) -> Failure:
    """The whole failure: `what` with the likely cause, the facts, and what to do next."""
    log = instances.store.host.at("/var/log/%s/error.log" % instances.store.app)
    try:
        case = _case(instances, instance, answer)
        cause = likely(symptoms(case))
        what = "%s: %s" % (what, cause.words) if cause.words else what
        hint = "%s; more: %s" % (cause.remedy.replace("<app>", instances.store.app), cause.look or "tail %s" % log)
        return Failure(what, details=facts(case), hint=hint)
    except Exception as problem:
        # The way back must not end here because something could not be explained.
        return Failure(what, details="the facts could not be had: %r" % problem, hint="see: tail %s" % log)


def _case(instances: Instances, instance: str, answer: Optional[Answer]) -> Case:
    store, release = instances.store, instance.partition(".")[0]
    said, shown = _said(instances, instance), _shown(instances, instance)
    return Case(
        gate=store.record(release).get("gate", {}),
        shown=shown,
        log=excerpt(said, str(store.path(release))),
        answer=answer,
        room=tuple(room(store.host, said)),
        waits=", ".join(unanswered(store.host, shown["MainPID"])),
    )


def _shown(instances: Instances, instance: str) -> Dict[str, str]:
    """The instance in the words that systemd has for a unit."""
    how, _, number = instances.text(instance, "end").partition(" ")
    alive = instances.lives(instance)
    return {
        "ActiveState": "active" if alive else "failed",
        "Result": "success" if alive else {"exit": "exit-code"}.get(how, how or "unknown"),
        "ExecMainCode": "" if alive else KINDS.get(how, ""),
        "ExecMainStatus": number,
        "MainPID": instances.main(instance)["pid"],
        "NRestarts": instances.text(instance, "restarts"),
        "ExecStart": "argv[]=%s ;" % _command(instances, instance),
        "MemoryMax": "",
    }


def _command(instances: Instances, instance: str) -> str:
    path = instances.store.path(instance.partition(".")[0]) / "cron/settings.json"
    return str(json.loads(path.read_text())["command"]) if path.exists() else ""


def _said(instances: Instances, instance: str) -> str:
    """What it said beside its logs, which of a candidate is all; and the error log's newest lines."""
    said = instances.text(instance, "out")[-SAID_BYTES:]
    if instance.endswith(CANDIDATE):
        return said
    log = instances.store.host.at("/var/log/%s/error.log" % instances.store.app)
    return "%s\n%s" % (said, recent(log, instances.started(instance) - 1))
