"""A deploy over many hosts: a look at all of them, then batch after batch, and if too many fail, the way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from carboy.declaration import Declaration
from carboy.errors import DeclarationError
from carboy.fleet.job import DRIFT, Job, Tally
from carboy.fleet.run import Run, new_run
from carboy.fleet.share import Share, batch

BACK_WAIT = 60
"""Seconds to wait for the lock of a host that is to go back."""


@dataclass(frozen=True)
class Course:
    """How a deploy goes from host to host.

    `serial` are the sizes of the batches, of the hosts that it changes; the last one holds for all further batches.
    It goes on as long as no more hosts than `max_fail`, of all hosts of the run, have failed in it. The first batch
    is watched for `canary_watch` seconds a release, if that is given; with `keep_going` no host goes back.
    """

    serial: tuple[Share, ...]
    max_fail: Share
    canary_watch: float | None = None
    keep_going: bool = False

    @classmethod
    def of(
        cls, declarations: Sequence[Declaration], serial: str | None, max_fail: str | None, *, keep_going: bool
    ) -> Course:
        """The course that the hosts declare, where the command line names no other; they may not differ."""
        sizes = serial.split(",") if serial else _common(declarations, "serial")
        watch = _common(declarations, "canary_watch")
        try:
            limit = Share(max_fail or _common(declarations, "max_fail"))
            return cls(tuple(map(batch, sizes)), limit, watch, keep_going)
        except ValueError as problem:
            hint = "write --serial 1,25%,100% and --max-fail 2 or --max-fail 10%"
            raise DeclarationError(str(problem), hint=hint) from problem


def _common(declarations: Sequence[Declaration], name: str) -> Any:
    """A setting of the rollout as all hosts have it."""
    first = declarations[0]
    value = getattr(first.settings["rollout"], name)
    for other in declarations:
        if getattr(other.settings["rollout"], name) != value:
            what = f"{first.host.name} and {other.host.name} differ in rollout_{name}, which is one for all"
            where = other.host.where(f"rollout_{name}")
            raise DeclarationError(what, where=where, hint="set it once, in group_vars/all.yml")
    return value


def roll(run: Run, jobs: list[Job], course: Course) -> None:
    """Deploy to several hosts; if they are to be as in a plan and one is not, before any is changed."""
    rolling = Rolling(run, jobs, course)
    waiting = rolling.go()
    if rolling.over:
        rolling.stop(waiting)


class Rolling:
    """One such deploy, under way."""

    def __init__(self, run: Run, jobs: list[Job], course: Course) -> None:
        self._run, self._jobs, self._course = run, jobs, course
        self._limit = course.max_fail.of(len(jobs))
        self._rule = f"rollout_max_fail allows {self._limit}"
        self._failed: dict[str, Tally] = {}
        self._switched: dict[str, tuple[Job, Tally]] = {}
        self._looks: dict[str, Tally] = {}
        self._done: set[tuple[str, str]] = set()

    @property
    def over(self) -> bool:
        """Whether more hosts have failed than may."""
        return len(self._failed) > self._limit

    def go(self) -> list[Job]:
        """Deploy to one batch after the other; returns what is left when too many hosts have failed."""
        waiting, number, step = self._look(), 0, 0
        sizes = [max(1, share.of(len(waiting))) for share in self._course.serial]
        while waiting and not self.over:
            leader = self._leader(waiting)
            batch = leader or waiting[: sizes[min(step, len(sizes) - 1)]]
            number, step = number + 1, step + (not leader or sizes[0] == 1)
            names = [job.name for job in batch]
            self._run.say(None, {"event": "batch", "number": number, "hosts": names, "left": len(waiting) - len(batch)})
            begun = self._deploy([self._made(job, canary=number == 1) for job in batch])
            waiting = [job for job in waiting if job.name not in begun]
        return waiting

    def stop(self, waiting: list[Job]) -> None:
        """Leave the other hosts as they are, and bring those back that have switched."""
        back = [] if self._course.keep_going else list(self._switched)
        left = [job.name for job in waiting]
        text = f"{len(self._failed)} of {len(self._jobs)} hosts failed, and {self._rule}"
        lost = [host for host, tally in self._failed.items() if tally.state == "unknown" and host not in back]
        if lost:
            text += f"; nobody knows what became of {', '.join(lost)}"
        self._run.say(None, {"event": "stopped", "text": text, "left": left, "back": back})
        for host in left:
            self._run.result(host, 0, **{**self._looks[host].facts, "changed": 0}, state="left", text=text)
        for host in back:
            self._tell_if_first(*self._switched[host])
        jobs = [_back(*self._switched[host]) for host in back if _before(self._switched[host][1])]
        for tally in self._run.crew(jobs, name=new_run()):
            self._returned(tally)

    def _look(self) -> list[Job]:
        """The jobs of hosts on which something differs; so nothing is changed anywhere if too many do not answer."""
        looks = [replace(job, args={**job.args, "check": True, "diff": False}) for job in self._jobs]
        for tally in self._run.crew(looks, hold=True):
            if tally.code == DRIFT:
                self._looks[tally.host] = tally
                self._run.forget(tally.host)
            else:
                self._settle(tally, changed=0)
        if self._failed and any("plan" in job.args for job in self._jobs):
            self._limit, self._rule = 0, "a saved plan is begun on all its hosts or on none"
        return [job for job in self._jobs if job.name in self._looks]

    def _leader(self, waiting: list[Job]) -> list[Job]:
        """The host that runs alone what is to run once for all hosts of an app; none if that is done or not wanted."""
        for job in waiting:
            release, cutover = job.declared.settings.get("release"), f"cutover {job.declared.app}"
            once = release and release.before_cutover_once and release.before_cutover
            done = (job.declared.app, "before_cutover") in self._done
            if once and not done and cutover in dict(self._looks[job.name].drifts):
                return [job]
        return []

    def _made(self, job: Job, *, canary: bool) -> Job:
        """The job as it is when its turn has come."""
        done = [moment for app, moment in self._done if app == job.declared.app]
        job = replace(job, args={**job.args, "done": done})
        if not canary or self._course.canary_watch is None:
            return job
        catalog = job.catalog.watched(self._course.canary_watch)
        return replace(job, catalog=catalog, args={**job.args, "catalog": catalog.wire()})

    def _deploy(self, batch: list[Job]) -> set[str]:
        """Deploy to the hosts of a batch at once; returns those that were begun with."""
        jobs = {job.name: job for job in batch}
        crew, left = self._run.crew(batch), []
        for tally in crew:
            self._settle(tally)
            self._done |= {(jobs[tally.host].declared.app, hook["moment"]) for hook in tally.of("hook") if hook["once"]}
            # Whatever became of it afterwards, such as a connection that was lost.
            if tally.last("cutover"):
                self._switched[tally.host] = jobs[tally.host], tally
            if self.over:
                left += crew.stop()
        return jobs.keys() - set(left)

    def _settle(self, tally: Tally, **told: Any) -> None:
        self._run.settle(tally, **told)
        if tally.code:
            self._failed[tally.host] = tally

    def _tell_if_first(self, job: Job, tally: Tally) -> None:
        if not _before(tally):
            why = "no other release served before, so there is nothing to go back to"
            self._run.result(job.name, tally.code, **tally.facts, state=tally.state, text=why)

    def _returned(self, tally: Tally) -> None:
        """Tell what came of a host's way back: it is where it was, and yet it is not where it should be."""
        own = self._switched[tally.host][1].why
        if tally.code:
            told = {"code": 6, "state": "stranded", "text": f"the way back failed: {tally.why}"}
        elif tally.last("skipped"):
            told = {"code": 0, "state": "left", "text": tally.last("skipped")["text"]}
        else:
            told = {"code": 1, "state": "back", "text": own or "went back, because others failed"}
        self._run.settle(tally, **told)


def _before(tally: Tally) -> str:
    """The release that served before a host switched; empty if none did."""
    return tally.last("cutover")["before"] or ""


def _back(job: Job, tally: Tally) -> Job:
    """The way back to what served before, unless something else serves by now."""
    switch = tally.last("cutover")
    args = {"to": switch["before"], "over": switch["release"], "check": False, "diff": False, "receipt": False}
    # A host whose connection was lost may still tidy up.
    more = {"wait": max(BACK_WAIT, job.args["wait"]), "yes": False, "policy": asdict(job.declared.policy)}
    return Job(job.declared, "rollback", {**args, **more})
