"""The verbs `plan` and `deploy`: compare a catalog with the host, fetch what is lacking, repair, read again."""

from __future__ import annotations

import sys
import time
from typing import Any, List, Tuple

from carboy.applier import lock
from carboy.applier.host import Host
from carboy.applier.resource import Drift, Failure, Resource
from carboy.applier.session import Arguments, detach, session

Entry = Tuple[str, Resource]


def main(args: Arguments) -> None:
    """Entry point of the payload."""
    session(args, apply)


def apply(host: Host, args: Arguments) -> None:
    """Bring the host to its catalog, or with `check` only say what would change."""
    entries = [(role, decode(resource)) for role, resource in args["catalog"]]
    if not args["check"]:
        lock.hold(host, args["app"], host.holder, args["wait"])
    drifting = [entry for entry in entries if _drift(entry, host)]
    if args["diff"] or not args["check"]:
        _gather(host, drifting)
    if args["check"] or not drifting:
        for entry in entries:
            _report(host, entry, args, began=time.monotonic())
        return
    detach(host)
    for entry in entries:
        _converge(host, entry, args)


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


def _gather(host: Host, drifting: List[Entry]) -> None:
    """Receive all that the repairs will need; an answer can raise further needs, so ask until there are none."""
    while True:
        needs = {str(need): need for _, resource in drifting for need in resource.lacks(host)}
        if not needs:
            return
        host.fetch(needs.values())


def _converge(host: Host, entry: Entry, args: Arguments) -> None:
    role, resource = entry
    began = time.monotonic()
    drift = _drift(entry, host)
    if drift:
        diff = resource.diff(host) if args["diff"] else ""
        _repair(host, entry, drift)
        _emit(host, entry, "changed", drift=drift, diff=diff, began=began)
    else:
        _emit(host, entry, "ok", began=began)


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


def _report(host: Host, entry: Entry, args: Arguments, began: float) -> None:
    drift = _drift(entry, host) if args["check"] else {}
    diff = entry[1].diff(host) if drift and args["diff"] else ""
    _emit(host, entry, "changed" if drift else "ok", drift=drift, diff=diff, began=began)


def _emit(host: Host, entry: Entry, status: str, *, began: float, drift: Drift = {}, diff: str = "") -> None:  # noqa: B006
    role, resource = entry
    more = {key: value for key, value in (("drift", drift), ("diff", diff)) if value}
    seconds = round(time.monotonic() - began, 3)
    host.stream.emit("resource", role=role, resource=resource.title(), status=status, seconds=seconds, **more)
