"""The verbs that go to hosts: from what is declared of each to a job for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from carboy.declaration import Declaration
from carboy.fleet import saved
from carboy.fleet.job import Job
from carboy.fleet.rolling import Course, roll
from carboy.fleet.run import Run
from carboy.fleet.saved import Saved
from carboy.transport import foresee


@dataclass(frozen=True)
class Options:
    """What deploys and rollbacks can be asked; `wait` are seconds for another run's lock."""

    check: bool = False
    diff: bool = False
    wait: int = 0
    receipt: bool = False


def deploy(
    run: Run, declarations: Sequence[Declaration], options: Options, course: Course | None, plan: Saved | None = None
) -> None:
    """Bring hosts to what is declared of them, several on a course; with a plan only as it says."""
    jobs = _applications(declarations, options)
    if plan:
        jobs = [replace(job, args={**job.args, "plan": plan.drift(job)}) for job in jobs]
    _begin(run, declarations)
    if course and len(jobs) > 1:
        roll(run, jobs, course)
    else:
        run.each(jobs)


def plan(run: Run, declarations: Sequence[Declaration], out: Path | None = None) -> None:
    """Say what a deploy would change; keep that in a file if one is named and every host could be asked."""
    target = saved.place(out) if out else None
    jobs = _applications(declarations, Options(check=True, diff=True))
    _begin(run, declarations)
    tallies = run.each(jobs)
    if target and all(tally.code in (0, 2) for tally in tallies):
        saved.save(target, run.name, jobs, tallies)
        run.say(None, {"event": "saved", "file": str(out)})
    elif target:
        run.say(None, {"event": "warning", "text": f"{out} is not written: not every host could be asked"})


def rollback(run: Run, declarations: Sequence[Declaration], options: Options, *, to: str, yes: bool) -> None:
    """Bring back the last healthy release or a named one; a doubtful one only if a person says yes."""
    args = {**asdict(options), "to": to, "yes": yes}
    jobs = {
        declared.host.name: Job(declared, "rollback", {**args, "policy": asdict(declared.policy)})
        for declared in declarations
    }
    doubtful = [tally.host for tally in run.each(jobs.values()) if tally.last("doubt")]
    agreed = [host for host in doubtful if run.console.agreed(f"{host}: switch to it all the same?")]
    run.each(replace(jobs[host], args={**jobs[host].args, "yes": True}) for host in agreed)


def attach(run: Run, declarations: Iterable[Declaration], name: str) -> None:
    """Follow what an earlier run said and says, to its end and with its exit code."""
    # Not a deploy of its own: what is left is what the run left that is followed.
    run.keeps = False
    run.each(Job(declared, "attach", {"name": name}) for declared in declarations)


def inspect(run: Run, declarations: Iterable[Declaration]) -> None:
    """Ask for status or history, whichever the run is of."""
    run.each(Job(declared, "inspect", {"verb": run.verb}) for declared in declarations)


def _applications(declarations: Sequence[Declaration], options: Options) -> list[Job]:
    foresee(declared.host for declared in declarations)
    return [_application(declared, options) for declared in declarations]


def _application(declared: Declaration, options: Options) -> Job:
    catalog = declared.catalog
    return Job(declared, "apply", {**asdict(options), "catalog": catalog.wire(), "done": []}, catalog)


def _begin(run: Run, declarations: Sequence[Declaration]) -> None:
    run.begin(declared.host.name for declared in declarations)
    for declared in declarations:
        for text in declared.warnings:
            run.say(declared.host.name, {"event": "warning", "text": text})
