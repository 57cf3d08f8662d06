"""`deploy --attach`: what a run said and says, as if its connection had never been lost."""

from __future__ import annotations

from typing import Iterator

from carboy.applier.host import Host
from carboy.applier.resource import Failure
from carboy.applier.runs import Event, Run, names, runs
from carboy.applier.session import Arguments, session

LAST = "last"
POLL_SECONDS = 0.1
SHOWN = 5


class Unknown(Failure):
    """Nobody knows how a run would have ended."""

    exit_code = 4


def main(args: Arguments) -> None:
    """Entry point of the payload."""
    session(args, attach)


def attach(host: Host, args: Arguments) -> int:
    """Replay the events of a run, follow them to its end, and end as it did."""
    run = _named(host, args["app"], args["name"])
    host.stream.emit(**run.begin)
    for event in _followed(host, run):
        if event["event"] == "end":
            return int(event["exit"])
        host.stream.emit(**event)
    raise Unknown(
        "the run was killed before its end: %s" % run.name,
        hint="deploy again: it finds nothing to do, or does the rest",
    )


def _followed(host: Host, run: Run) -> Iterator[Event]:
    """The events of a run until it is over, or until the controller goes away."""
    lives = True
    while lives:
        # Asked before the events are read: what it says last must not be missed.
        lives = run.lives()
        yield from run.events()
        if lives:
            host.stream.pause(POLL_SECONDS)


def _named(host: Host, app: str, name: str) -> Run:
    known = list(runs(host, app))
    found = known[:1] if name == LAST else [run for run in known if run.name.startswith(name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise Failure("%d runs of %s begin with %s" % (len(found), app, name), hint="there are: " + names(found))
    raise Failure("no run %s of %s on this host" % (name, app), hint="there are: " + names(known[:SHOWN]))
