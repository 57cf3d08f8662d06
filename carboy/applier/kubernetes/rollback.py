"""The verb `rollback` on Kubernetes: bring back the pods that ran before."""

from __future__ import annotations

from typing import List

from carboy.applier import code
from carboy.applier.host import Host
from carboy.applier.kubernetes.app import App, Live
from carboy.applier.kubernetes.apply import app_of, refuse_receipt, state
from carboy.applier.resource import Failure
from carboy.applier.session import Arguments, detach, session


def main(args: Arguments) -> None:
    """Entry point of the payload."""
    session(args, rollback, root=state())


def rollback(host: Host, args: Arguments) -> None:
    """Switch to `to`, or else to the last healthy release that does not serve."""
    app = app_of(host)
    refuse_receipt(args)
    code.load(host)
    # Here, because it has only just arrived.
    from carboy.applier.kubernetes.lease import Lease

    if args["check"]:
        _plan(app, args)
        return
    lease = Lease(app)
    lease.take(args["wait"])
    try:
        _switch(app, args, lease)
    finally:
        lease.free()


def _plan(app: App, args: Arguments) -> None:
    from carboy.applier.kubernetes.switch import declared

    live = app.read()
    release = _target(app, live, args["to"])
    target = declared(_deployment(live), live.templates[release])
    diff = "".join(app.kubectl.differences(target).values()) if args["diff"] else ""
    app.kubectl.host.stream.emit("plan", release=release, before=live.release, diff=diff)
    if _doubt(live, release):
        app.kubectl.host.say("a rollback would ask first: %s" % _doubt(live, release))


def _switch(app: App, args: Arguments, lease: "Lease") -> None:  # type: ignore[name-defined] # noqa: F821
    from carboy.applier.kubernetes.switch import Switch, declared

    host, live = app.kubectl.host, app.read()
    if args.get("over") and live.release != args["over"]:
        host.stream.emit("skipped", text="%s serves, which another run has put there" % live.release)
        return
    release = _target(app, live, args["to"])
    if release == live.release and live.complete:
        host.say("%s already serves" % release)
        return
    doubt = _doubt(live, release)
    if doubt and not args["yes"]:
        host.stream.emit("doubt", text=doubt)
        raise Failure(doubt, hint="to switch to it all the same: invoke rollback --to %s --yes" % release)
    detach(host)
    with lease.kept():
        Switch(app, live, lease).run("rollback", declared(_deployment(live), live.templates[release]))


def _doubt(live: Live, release: str) -> str:
    """Why a person should say yes first; empty if nothing speaks against the release."""
    if release not in live.healthy:
        return "%s never served well" % release
    final = [record["release"] for record in live.since(release) if record.get("irreversible")]
    return "%s cannot be undone: it says release_reversible: false" % final[-1] if final else ""


def _deployment(live: Live) -> "dict[str, object]":
    if not live.deployment:
        raise Failure("%s is not deployed there" % live.name, hint="deploy first")
    return live.deployment


def _target(app: App, live: Live, wanted: str) -> str:
    """The release that is meant, by the beginning of its name; else the last healthy one that does not serve."""
    if not wanted:
        earlier = [name for name in live.healthy if name != live.release]
        if not earlier:
            raise Failure("no earlier healthy release of %s is in the cluster" % app.name, hint="see invoke history")
        return earlier[-1]
    found: List[str] = [name for name in live.templates if name.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    known = ", ".join(live.templates) or "none"
    raise Failure("no release %s of %s is in the cluster" % (wanted, app.name), hint="there are: " + known)
