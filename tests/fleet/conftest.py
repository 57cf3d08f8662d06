"""Runs whose hosts do as a test says, to see what is decided; real hosts are in tests/host/test_fleet.py."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from carboy.applier.cutover import Cutover
from carboy.applier.policy import Policy
from carboy.catalog import Catalog
from carboy.console import Console
from carboy.declaration import Declaration
from carboy.errors import FailedError, UnreachableError
from carboy.fleet import record
from carboy.fleet.crew import Sink
from carboy.fleet.job import DRIFT, Job, Tally
from carboy.fleet.rolling import Course, roll
from carboy.fleet.run import Run
from carboy.fleet.share import Share
from carboy.inventory import Host

OLD, NEW = "20260101T000000Z-01d", "20260202T000000Z-4e3"
Event = dict[str, Any]


@dataclass
class Fleet:
    """Hosts h1, h2 and so on: which have nothing to do, fail, are down, cannot go back, or never served before."""

    number: int
    unchanged: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()
    down: tuple[str, ...] = ()
    stuck: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    once: bool = False
    beside: tuple[str, ...] = ()
    """Hosts on which something differs, but not what serves."""
    overtaken: tuple[str, ...] = ()
    """Hosts on which another run deploys before they go back."""
    unlike: tuple[str, ...] = ()
    """Hosts that have changed since the plan."""
    deployed: list[tuple[str, ...]] = field(default_factory=list)
    """Each deploy that was begun: its host, and the hooks that it was told of as done."""
    watches: dict[str, float] = field(default_factory=dict)
    """How long each host was to watch its release."""
    returned: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    @property
    def jobs(self) -> list[Job]:
        """A deploy on all of them."""
        catalog = Catalog.of([("release", Cutover("shop", "4e3", Policy(watch=4)))])
        args = {"check": False, "diff": False, "wait": 0, "receipt": False, "catalog": catalog.wire(), "done": []}
        return [Job(self._declared(f"h{each}"), "apply", args, catalog) for each in range(1, self.number + 1)]

    def planned(self) -> list[Job]:
        """The same, as in a saved plan."""
        plan = [["cutover shop", {"serving": [[], ["new"]]}]]
        return [replace(job, args={**job.args, "plan": [] if job.name in self.unlike else plan}) for job in self.jobs]

    def roll(self, *serial: int | str, max_fail: int | str = 0, forks: int = 1, **more: Any) -> Run:
        """Deploy to all of them, as in a plan if any is unlike it."""
        run = Run(Console(machine=True), "deploy", forks=forks)
        roll(
            run,
            self.planned() if self.unlike else self.jobs,
            Course(tuple(map(Share, serial)) or (Share("100%"),), Share(max_fail), **more),
        )
        run.finish()
        self.events = [json.loads(line) for line in (record.RUNS / f"{run.name}.ndjson").read_text().splitlines()]
        return run

    @property
    def batches(self) -> list[list[str]]:
        """The hosts of each batch."""
        return [event["hosts"] for event in self.events if event["event"] == "batch"]

    def do(self, job: Job, tally: Tally, sink: Sink) -> Tally:
        """What a host does, in the place of `Job.do`."""

        def say(event: Event) -> None:
            tally.add(event)
            sink(event)

        if job.name in self.down:
            tally.error = UnreachableError("no route")
            tally.code = tally.error.exit_code
        elif job.verb == "rollback":
            self._go_back(job, tally, say)
        elif job.args["check"]:
            self._look(job, tally, say)
        else:
            self._deploy(job, tally, say)
        return tally

    def _look(self, job: Job, tally: Tally, say: Sink) -> None:
        drifts = job.name not in self.unchanged
        more: Event = {"status": "changed", "drift": {"serving": [[], ["new"]]}} if drifts else {"status": "ok"}
        what = "file x" if job.name in self.beside else "cutover shop"
        say({"event": "resource", "resource": what, **more})
        tally.code = DRIFT if drifts else 0
        if job.name in self.unlike:
            tally.error = FailedError("the host has changed since the plan")
            tally.code = tally.error.exit_code

    def _deploy(self, job: Job, tally: Tally, say: Sink) -> None:
        self.deployed.append((job.name, *job.args["done"]))
        [[_, cutover]] = job.args["catalog"]
        self.watches[job.name] = cutover["policy"]["watch"]
        tally.code = int(job.name in self.failing)
        if not tally.code:
            if self.once:
                say({"event": "hook", "moment": "before_cutover", "once": True, "said": "", "seconds": 0.1})
            before = "" if job.name in self.first else OLD
            say({"event": "cutover", "release": NEW, "before": before, "seconds": 0.1})

    def _go_back(self, job: Job, tally: Tally, say: Sink) -> None:
        assert job.args["over"] == NEW
        if job.name in self.overtaken:
            say({"event": "skipped", "text": "another serves"})
            return
        tally.code = int(job.name in self.stuck)
        say({"event": "cutover", "release": job.args["to"], "before": NEW, "seconds": 0.1})
        self.returned.append(job.name)

    def _declared(self, host: str) -> Declaration:
        hooks = ("migrate",) if self.once else ()
        release = SimpleNamespace(before_cutover_once=self.once, before_cutover=hooks, policy=Policy())
        app = SimpleNamespace(name="shop", runtime="systemd")
        return Declaration(Host(host, {}, {}), (), {"app": app, "release": release})


@pytest.fixture
def make_fleet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Makes a fleet; its runs are kept in a folder of the test's own."""
    monkeypatch.setattr(record, "RUNS", tmp_path / "runs")

    def make(number: int, **given: Any) -> Fleet:
        fleet = Fleet(number, **given)
        monkeypatch.setattr(Job, "do", lambda job, _run, tally, sink: fleet.do(job, tally, sink))
        return fleet

    return make
