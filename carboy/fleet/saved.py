"""A plan in a file: what was shown of each host, and what it was made of, so that just this can be applied later."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carboy.catalog import Catalog, digest
from carboy.errors import DeclarationError, FailedError
from carboy.fleet.job import Job, Tally, holder

FORMAT = "carboy plan 1"
HINT = "make it anew: invoke plan --out FILE"
Pairs = list[list[Any]]
"""Lists of two: a resource's title, and its digest or its drift."""


@dataclass(frozen=True)
class Saved:
    """A plan that was kept: by host, what was declared and what differed."""

    path: Path
    hosts: dict[str, dict[str, Pairs]]

    def drift(self, job: Job) -> Pairs:
        """What differed on a host; DeclarationError if the plan is of another declaration, or not of this host."""
        host = self.hosts.get(job.name)
        if host is None:
            raise DeclarationError(f"the plan is not of host {job.name}", where=str(self.path), hint=HINT)
        before, now = dict(host["declared"]), dict(declared(job.catalog))
        other = [title for title in {**before, **now} if before.get(title) != now.get(title)]
        if other:
            what = f"what is declared is not what was planned: {', '.join(other)}"
            hint = "plan again; or give the options, and check the files out, that the plan was made with"
            raise DeclarationError(what, where=f"{self.path}, host {job.name}", hint=hint)
        return host["drift"]


def declared(catalog: Catalog) -> Pairs:
    """Each resource of a catalog by its title, with the digest of all that is declared of it."""
    return [[resource.title(), digest(role, resource)] for role, resource in catalog.entries]


def place(path: Path) -> Path:
    """Where a plan is to be written, links followed; DeclarationError, before anything is asked, if it cannot be."""
    target = path.resolve()
    if target.exists() and not target.is_file():
        raise DeclarationError("no plan can be kept there: it is no file", where=str(path), hint="name another file")
    if not os.access(target.parent, os.W_OK):
        raise DeclarationError("no plan can be kept in that folder", where=str(path), hint="name another, or make it")
    return target


def save(path: Path, run: str, jobs: Iterable[Job], tallies: Iterable[Tally]) -> None:
    """Write the plan, as a whole or not at all; contents of files and secrets are in it by their digests alone."""
    found = {tally.host: tally.drifts for tally in tallies}
    hosts = {job.name: {"declared": declared(job.catalog), "drift": found[job.name]} for job in jobs}
    text = json.dumps({"format": FORMAT, **holder(run), "hosts": hosts}, indent=1)
    draft = path.with_name(f".{path.name}.{run}")
    try:
        draft.write_text(text + "\n", encoding="utf-8")
        draft.replace(path)
    except OSError as problem:
        draft.unlink(missing_ok=True)
        raise FailedError(f"the plan cannot be written: {problem.strerror}", where=str(path)) from problem


def read(path: Path) -> Saved:
    """A plan from its file; DeclarationError if it is none."""
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as problem:
        raise DeclarationError(f"the plan cannot be read: {problem}", where=str(path), hint=HINT) from problem
    if not _is_plan(plan):
        raise DeclarationError(f"this is no plan that deploy can take ({FORMAT})", where=str(path), hint=HINT)
    return Saved(path, plan["hosts"])


def _is_plan(plan: Any) -> bool:
    if not isinstance(plan, dict) or plan.get("format") != FORMAT or not isinstance(plan.get("hosts"), dict):
        return False
    return all(
        isinstance(host, dict) and all(_are_pairs(host.get(key)) for key in ("declared", "drift"))
        for host in plan["hosts"].values()
    )


def _are_pairs(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in value
    )
