"""The verbs `plan` and `deploy`: compare a catalog with the host, fetch what is lacking, repair, read again."""

from __future__ import annotations

import os
import sys
import time
from typing import Any, Callable, Iterator, List, Tuple

from carboy.applier import code, lock
from carboy.applier.host import Host, remove
from carboy.applier.resource import Drift, Failure, Need, Resource
from carboy.applier.session import Arguments, detach, session

Entry = Tuple[str, Resource]


def main(args: Arguments) -> None:
    """Entry point of the payload."""
    session(args, apply)


def apply(host: Host, args: Arguments) -> None:
    """Bring the host to its catalog, or with `check` only say what would change."""
    if not args["check"]:
        host.lock = lock.hold(host, args["app"], host.holder, args["wait"])
    entries = [(role, decode(resource)) for role, resource in args["catalog"]]
    for _, resource in entries:
        resource.foresee(host)
    verb = plan if args["check"] else deploy
    verb(host, entries, args)


def plan(host: Host, entries: List[Entry], args: Arguments) -> None:
    """Say what a deploy would change; what is needed to show it is forgotten again."""
    # By the process: one run may know the host by several names.
    host.blobs = host.at("/run/carboy-plan-%d" % os.getpid())
    drifts = [(entry, _drift(entry, host)) for entry in entries]
    try:
        if args["diff"] and any(drift for _, drift in drifts):
            code.load(host)
            _gather(host, [resource.shows for (_, resource), drift in drifts if drift])
        for entry, drift in drifts:
            diff = entry[1].diff(host) if drift and args["diff"] else ""
            _emit(host, entry, "changed" if drift else "ok", drift=drift, diff=diff)
    finally:
        remove(host.blobs)


def deploy(host: Host, entries: List[Entry], args: Arguments) -> None:
    """Fetch everything that the repairs will need, then repair in order, alone if need be."""
    drifts = [(entry[1], _drift(entry, host)) for entry in entries]
    drifting = [resource for resource, drift in drifts if drift]
    if not drifting:
        for entry in entries:
            _emit(host, entry, "ok")
        return
    code.load(host)
    # Here, because these have only just arrived.
    from carboy.applier.planned import agree
    from carboy.applier.prune import forget
    from carboy.applier.room import check

    agree([(resource.title(), drift) for resource, drift in drifts], args.get("plan"))
    _gather(host, [resource.lacks for resource in drifting], lambda needs: check(host, drifting, needs))
    detach(host)
    try:
        for entry in entries:
            _converge(host, entry, diff=args["diff"])
    finally:
        forget(host, args["app"])


def decode(value: Any) -> Any:
    """Rebuild the resources of a catalog from JSON: a dataclass is a mapping that names its class under "is"."""
    if isinstance(value, list):
        return tuple(decode(item) for item in value)
    if not isinstance(value, dict):
        return value
    fields = {key: decode(item) for key, item in value.items() if key != "is"}
    if "is" not in value:
        return fields
    module, _, name = value["is"].rpartition(".")
    full = "carboy.applier." + module
    __import__(full)
    return getattr(sys.modules[full], name)(**fields)


def _drift(entry: Entry, host: Host) -> Drift:
    role, resource = entry
    try:
        return resource.drift(host)
    except Failure as failure:
        host.stream.emit("resource", role=role, resource=resource.title(), status="failed")
        raise failure


def _gather(
    host: Host,
    questions: List[Callable[[Host], Iterator[Need]]],
    check: Callable[[List[Need]], None] = lambda _: None,
) -> None:
    """Receive all that is needed; an answer can raise further needs, so ask until there are none.

    What is needed is shown to `check` first, and at the end that it is nothing.
    """
    while True:
        needs = {str(need): need for question in questions for need in question(host)}
        check(list(needs.values()))
        if not needs:
            return
        host.fetch(needs.values())


def _converge(host: Host, entry: Entry, *, diff: bool) -> None:
    began = time.monotonic()
    drift = _drift(entry, host)
    text = entry[1].diff(host) if drift and diff else ""
    if drift:
        _repair(host, entry, drift)
    seconds = round(time.monotonic() - began, 3)
    _emit(host, entry, "changed" if drift else "ok", drift=drift, diff=text, seconds=seconds)


def _repair(host: Host, entry: Entry, drift: Drift) -> None:
    """Repair and read again: "changed" is only said of what is right now."""
    role, resource = entry
    try:
        resource.repair(host, drift)
        left = resource.drift(host)
        if left:
            raise Failure("still not right after the repair: %s" % left, hint="does something else manage it?")
    except Exception:
        host.stream.emit("resource", role=role, resource=resource.title(), status="failed")
        raise


def _emit(host: Host, entry: Entry, status: str, **more: Any) -> None:
    role, resource = entry
    told = {key: value for key, value in more.items() if value}
    host.stream.emit("resource", role=role, resource=resource.title(), status=status, **told)
