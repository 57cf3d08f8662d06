"""One verb on the hosts that were named: a run has a name, is kept, and ends with one exit code."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from carboy.console import Console
from carboy.errors import CarboyError
from carboy.fleet.crew import Crew
from carboy.fleet.job import PASSING, Job, Tally, advice, holder
from carboy.fleet.record import VERBS, Record
from carboy.remote import Event

GRAVEST_FIRST = (6, 1, 4, 5, 3, 2, 0)
DEFAULT_FORKS = 32
READ = ("status", "history", "plan")
"""Verbs whose words are read and not watched: those of one host are shown together."""


def new_run() -> str:
    """A name for a run: its time, and enough chance that two never meet."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(3)}"


class Run:
    """One verb, carried out on many hosts."""

    def __init__(
        self,
        console: Console,
        verb: str = "",
        *,
        check: bool = False,
        inventory: Sequence[Path] = (),
        given: str = "",
        forks: int = DEFAULT_FORKS,
    ) -> None:
        self.console = console
        self.verb, self.check = verb, check
        self.inventory = [str(source.resolve()) for source in inventory]
        self.given = given
        """How the inventory was named on the command line, for commands that are advised."""
        self.forks = forks
        self.name = new_run()
        self.keeps = verb in VERBS
        self.codes: dict[str, int] = {}
        self.states: dict[str, str] = {}
        self._began = time.monotonic()
        self._hosts: list[str] = []
        self._begun = False
        self._record: Record | None = None
        self._held: dict[str, list[Event]] = {}
        self._under_way: dict[str, tuple[str, Job, Tally]] = {}

    @property
    def code(self) -> int:
        """The exit code of all hosts together: the gravest of theirs."""
        return next((code for code in GRAVEST_FIRST if code in self.codes.values()), 0)

    def begin(self, hosts: Iterable[str]) -> None:
        """Say which hosts this is about; said once, before the first of them is contacted."""
        if self._begun:
            return
        self._begun, self._hosts = True, list(hosts)
        problem = self._keep()
        about = {"verb": self.verb, "check": self.check, "inventory": self.inventory, "hosts": self._hosts}
        self.say(None, {"event": "started", **about, **holder(self.name)})
        if problem:
            self.say(None, {"event": "warning", "text": f"this run is not kept: {problem}"})

    def finish(self) -> None:
        """Say how all hosts stand, if any was contacted."""
        if self._begun:
            seconds = round(time.monotonic() - self._began, 3)
            self.say(None, {"event": "finished", "exit": self.code, "seconds": seconds, "states": self.states})

    def say(self, host: str | None, event: Event) -> None:
        """Show and keep one event of a host, or of the run as a whole."""
        self._write(host, event)
        self.console.event(host, event)

    def fail(self, host: str | None, error: CarboyError) -> None:
        """Show and keep an error."""
        self._write(host, error.event)
        self.console.error(host, error)

    def result(self, host: str, code: int, **facts: Any) -> None:
        """Tell how a host stands now; what was told of it before counts no more."""
        self.codes[host], self.states[host] = code, facts["state"]
        self.say(host, {"event": "result", "exit": code, **facts})

    def each(self, jobs: Iterable[Job]) -> list[Tally]:
        """Carry out jobs on all their hosts at once, and tell of each as soon as it is through."""
        return [self.settle(tally) for tally in self.crew(list(jobs))]

    def crew(self, jobs: list[Job], *, hold: bool = False, name: str = "") -> Crew[Tally]:
        """The hosts of some jobs, to be iterated and settled; `hold` keeps back what one says until it is settled.

        `name` is what hosts know the run by, where it does something to them for a second time.
        """
        self.begin(job.name for job in jobs)
        jobs = [replace(job, given=self.given) for job in jobs]
        tallies = {job.name: Tally(job.name) for job in jobs}
        name = name or self.name
        self._under_way |= {job.name: (name, job, tallies[job.name]) for job in jobs}
        work = {job.name: partial(job.do, name, tallies[job.name]) for job in jobs}
        together = len(jobs) > 1 and self.verb in READ
        return Crew(work, self._hold if hold or together else self.say, self.forks)

    def settle(self, tally: Tally, **told: Any) -> Tally:
        """Tell what came of a host, and what of its words was held back; `told` replaces facts of the result."""
        for event in self._held.pop(tally.host, []):
            self.say(tally.host, event)
        self._under_way.pop(tally.host, None)
        if tally.error:
            self.fail(tally.host, tally.error)
        self.result(tally.host, **{"code": tally.code, "state": tally.state, "text": tally.why, **tally.facts, **told})
        return tally

    def forget(self, host: str) -> None:
        """Drop what was held back of a host: it was a question only."""
        self._held.pop(host, None)
        self._under_way.pop(host, None)

    @property
    def advice(self) -> str:
        """What to do about hosts that are under way if a person interrupts the run; empty if nothing is at stake."""
        told = [advice(*about) for about in self._under_way.values()]
        several = len(self._hosts) > 1 and self.verb == "deploy"
        rest = [f"for the other hosts: invoke deploy --failed{self.given}"] if several else []
        return "\n       ".join([*filter(None, told), *rest])

    def _hold(self, host: str, event: Event) -> None:
        if event["event"] in PASSING:
            self.say(host, event)
        else:
            self._held.setdefault(host, []).append(event)

    def _write(self, host: str | None, event: Event) -> None:
        """Keep an event as long as there is room for it; hosts are not given up for that."""
        if self._record is None:
            return
        try:
            self._record.keep(host, event)
        except OSError as problem:
            self._record = None
            self.console.event(None, {"event": "warning", "text": f"this run is kept no further: {problem.strerror}"})

    def _keep(self) -> str:
        """Begin to keep the run where its verb is one of those; returns why that cannot be."""
        try:
            self._record = Record(self.name) if self.keeps else None
        except OSError as problem:
            return str(problem)
        return ""
