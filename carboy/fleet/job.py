"""One verb for one host: what is asked, and what it adds up to."""

from __future__ import annotations

import getpass
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

from carboy.applier.planned import agree
from carboy.applier.resource import Failure
from carboy.catalog import Catalog
from carboy.confirmation import confirm
from carboy.declaration import Declaration
from carboy.errors import CarboyError, FailedError, OutcomeUnknownError, fault
from carboy.fleet.crew import Sink
from carboy.fleet.supply import Supply
from carboy.payload import entrance, foresee, pack, repairs, runtime_modules
from carboy.remote import Event, conduct

DRIFT = 2
TYPED = {"apply": "deploy"}
STATES = {0: "ok", 1: "failed", 2: "drift", 3: "failed", 4: "unreachable", 5: "locked", 6: "stranded"}
PASSING = ("connecting", "log", "progress")
"""Events that are good for a moment."""
NOTHING = Catalog((), {})


@cache
def holder(run: str) -> dict[str, str]:
    """Who does this run, from where, since when: what a lock and a history tell others."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"who": getpass.getuser(), "where": socket.gethostname(), "since": now, "run": run}


@dataclass
class Tally:
    """What one host said, and how it ended."""

    host: str
    began: float = field(default_factory=time.monotonic)
    events: list[Event] = field(default_factory=list)
    code: int = 0
    error: CarboyError | None = None

    def add(self, event: Event) -> None:
        """Take one event in."""
        if event["event"] not in PASSING:
            self.events.append(event)

    def of(self, kind: str) -> list[Event]:
        """The events of a kind."""
        return [event for event in self.events if event["event"] == kind]

    def last(self, kind: str) -> Event:
        """The last event of a kind, empty if there was none."""
        return next((event for event in reversed(self.events) if event["event"] == kind), {})

    @property
    def counts(self) -> Counter[str]:
        """How many resources have which status."""
        return Counter(event["status"] for event in self.of("resource"))

    @property
    def drifts(self) -> list[tuple[str, Any]]:
        """What differs, each by the resource's title."""
        return [(event["resource"], event["drift"]) for event in self.of("resource") if "drift" in event]

    @property
    def state(self) -> str:
        """How the host stands, in one word."""
        # A run that is only followed says itself that nobody knows.
        unknown = isinstance(self.error, OutcomeUnknownError) or (self.code == 4 and not self.error)
        return "unknown" if unknown else STATES[self.code]

    @property
    def facts(self) -> dict[str, Any]:
        """What became of the host, for its result."""
        counts, switch = self.counts, self.last("cutover")
        return {
            "changed": counts["changed"],
            "ok": counts["ok"],
            "release": switch.get("release", ""),
            "before": switch.get("before") or "",
            "cutover": switch.get("seconds"),
            "seconds": round(time.monotonic() - self.began, 3),
        }

    @property
    def why(self) -> str:
        """What went wrong; empty if nothing did."""
        return self.error.what if self.error else str(self.last("failed").get("what", ""))


@dataclass(frozen=True)
class Job:
    """One verb for one host, with its arguments; `catalog` is what the host may want bytes of.

    `given` is how the inventory was named on the command line.
    """

    declared: Declaration
    verb: str
    args: dict[str, Any] = field(default_factory=dict)
    catalog: Catalog = NOTHING
    given: str = ""

    @property
    def name(self) -> str:
        """The host's name."""
        return self.declared.host.name

    @property
    def changes(self) -> bool:
        """Whether it may change the host."""
        return not self.args.get("check", True)

    def do(self, run: str, tally: Tally, sink: Sink) -> Tally:
        """Carry it out; an error of this host goes into its tally, and concerns no other."""
        tally.began = time.monotonic()
        sink({"event": "connecting"})
        try:
            tally.code = self._conducted(run, tally, sink)
            if not tally.code and self.args.get("check") and tally.counts["changed"]:
                tally.code = DRIFT
                self._compare(tally)
        except Exception as problem:  # whatever it is, it concerns no other host
            tally.error = self._told(problem, run, tally)
            tally.code = tally.error.exit_code
        return tally

    def _compare(self, tally: Tally) -> None:
        """Raise `FailedError` if something else differs than in the plan; under its lock the host asks once more."""
        try:
            agree(tally.drifts, self.args.get("plan"))
        except Failure as failure:
            raise FailedError(failure.what, where=f"host {self.name}", hint=failure.hint) from failure

    def _told(self, problem: Exception, run: str, tally: Tally) -> CarboyError:
        error = problem if isinstance(problem, CarboyError) else fault(problem)
        if error is not problem and tally.last("begin") and not tally.last("end"):
            # Whatever went wrong here, the host goes on.
            error = OutcomeUnknownError(f"{error.what}: outcome unknown", where=error.where)
        if isinstance(error, OutcomeUnknownError):
            error.hint = advice(run, self, tally) or error.hint
        return error

    def _conducted(self, run: str, tally: Tally, sink: Sink) -> int:
        host, runtime = self.declared.host, self.declared.runtime
        common = {"app": self.declared.app, "verb": TYPED.get(self.verb, self.verb), "run": run, "holder": holder(run)}
        common |= {"runtime": runtime, **self.declared.arguments}
        entry, modules = entrance(self.verb, runtime), (*self.catalog.modules, *runtime_modules(runtime))

        def hear(event: Event) -> None:
            tally.add(event)
            sink(event)
            # Not of a run that is only replayed: its change was confirmed or taken back long ago.
            if event["event"] == "confirm" and self.verb == "apply":
                hear(confirm(host, event, common))

        supply = Supply(self.catalog.blobs, partial(repairs, entry, modules))
        foresee(entry, modules)
        return conduct(host, lambda: pack(entry, {**common, **self.args}, modules), supply, hear)


def advice(run: str, job: Job, tally: Tally) -> str:
    """What to do after a connection was lost or given up; empty where nothing was at stake."""
    begun = tally.last("begin")
    if begun:
        command = f"invoke deploy --attach {begun['run']} --host {job.name}{job.given}"
        return f"it finishes alone unless it was killed there; to follow it: {command}"
    if job.changes:
        # That it was not heard of proves nothing: the word may have been lost with the connection.
        return f"see whether run {run} began, then it finishes alone: invoke status --host {job.name}{job.given}"
    return ""
