"""The verb `rollback`: bring back exactly what ran before."""

from __future__ import annotations

from typing import List, Optional

from carboy.applier import code, lock, runtime
from carboy.applier.difference import contents_of, difference
from carboy.applier.host import Host
from carboy.applier.policy import Policy
from carboy.applier.prune import forget
from carboy.applier.resource import Failure
from carboy.applier.session import Arguments, detach, session
from carboy.applier.store import Store


def main(args: Arguments) -> None:
    """Entry point of the payload."""
    session(args, rollback)


def rollback(host: Host, args: Arguments) -> None:
    """Switch to `to`, or else to the last healthy release that does not serve."""
    host.lock = lock.hold(host, args["app"], host.holder, args["wait"])
    try:
        code.load(host)
        _switch(host, args)
    finally:
        forget(host, args["app"])


def _switch(host: Host, args: Arguments) -> None:
    # It travels with the code that repairs need.
    from carboy.applier.switch import Switch

    store = Store(host, args["app"])
    switch = Switch(store, _target(store, args["to"]), Policy(**args["policy"]))
    if _overtaken(switch.before.serving, args):
        text = "%s serves, which another run has put there" % (", ".join(switch.before.serving) or "nothing")
        host.stream.emit("skipped", text=text)
        return
    doubt = _doubt(store, switch.release)
    if args["check"] or args["diff"]:
        _show(host, store, switch.previous, switch.release, diff=args["diff"])
    if args["check"]:
        if doubt:
            host.say("a rollback would ask first: %s" % doubt)
    elif switch.before.serving == [switch.release] == [switch.before.chosen] == [store.current()]:
        host.say("%s already serves" % switch.release)
    else:
        _confirm(host, switch.release, doubt, args)
        detach(host)
        switch.run("rollback")


def _overtaken(serving: List[str], args: Arguments) -> bool:
    """Whether somebody was faster: to take away what they put there is not what was asked for."""
    return bool(args.get("over")) and serving != [args["over"]]


def _show(host: Host, store: Store, before: Optional[str], release: str, *, diff: bool) -> None:
    releases = [contents_of(store.path(name)) for name in (before or "none", release)]
    host.stream.emit("plan", release=release, before=before, diff=difference(*releases) if diff else "")


def _confirm(host: Host, release: str, doubt: str, args: Arguments) -> None:
    if doubt and not args["yes"]:
        host.stream.emit("doubt", text=doubt)
        raise Failure(doubt, hint="to switch to it all the same: invoke rollback --to %s --yes" % release)


def _doubt(store: Store, release: str) -> str:
    """Why a person should say yes first; empty if nothing speaks against the release."""
    if release not in store.healthy():
        return "%s never served well" % release
    final = [record["release"] for record in store.since(release) if record.get("irreversible")]
    return "%s cannot be undone: it says release_reversible: false" % final[-1] if final else ""


def _target(store: Store, wanted: str) -> str:
    if wanted:
        return _named(store, wanted)
    state, healthy = runtime.of(store).read(), store.healthy()
    if state.chosen in healthy[:-1]:
        # A rollback that was killed had chosen it already: go on, not forward again.
        return str(state.chosen)
    earlier = [name for name in healthy if name not in ([state.chosen] if state.chosen else state.serving)]
    if not earlier:
        raise Failure("no earlier healthy release of %s is on this host" % store.app, hint="see invoke history")
    return earlier[-1]


def _named(store: Store, wanted: str) -> str:
    found = [name for name in store.all() if wanted in (name, name.rpartition("-")[2])]
    if found:
        return found[-1]
    known = ", ".join(store.all()) or "none"
    raise Failure("no release %s of %s on this host" % (wanted, store.app), hint="there are: " + known)
