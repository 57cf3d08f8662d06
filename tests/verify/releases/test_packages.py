"""The venv of the release against the requirements that were declared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from carboy.applier.cutover import Cutover
from carboy.applier.venv import Venv
from carboy.verify import judge
from carboy.verify.target import Target


def test_requirements(target: Target) -> None:
    """Every declared requirement, and all that these need in turn, is in the venv in a version that fits."""
    resources: dict[type, Any] = {type(resource): resource for _, resource in target.declared.catalog.entries}
    if resources[Cutover].digest[:8] != target.folder.rpartition("-")[2]:
        pytest.skip("the release that serves is not the one declared now; see invoke plan")
    seen = target.ask("look.packages", python=f"{target.folder}/venv/bin/python")
    named: dict[str, Any] = {canonicalize_name(name): facts for name, facts in seen["distributions"].items()}
    wanted = [*parsed(resources[Venv].requirements.text())]
    problems = sorted(set(unmet(wanted, named, seen["environment"])))
    judge.none(problems, f"{target.folder}/venv lacks", "build it anew: remove that venv, then " + target.repair)


def test_bytecode(target: Target) -> None:
    """All code of the release is compiled: a worker that may not write would compile it at each start."""
    stale = [
        path for part in ("venv/lib", "tree") for path in target.ask("look.stale_bytecode", f"{target.folder}/{part}/")
    ]
    judge.none(stale, "not compiled", f"{target.folder}/venv/bin/python -m compileall -q {target.folder}/venv/lib")


def parsed(text: str) -> Iterator[Requirement]:
    """The requirements of a file, without options of pip and without what is named by its path alone."""
    for line in text.splitlines():
        words = line.partition(" #")[0].partition(" --")[0].strip()
        try:
            yield Requirement(words)
        except InvalidRequirement:
            continue


def unmet(wanted: list[Requirement], there: Mapping[str, Any], environment: Mapping[str, str]) -> Iterator[str]:
    """Requirements that the distributions in `there` do not meet, those of the distributions themselves included."""
    waiting = [requirement for requirement in wanted if applies(requirement, set(), environment)]
    known: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement = waiting.pop()
        facts = there.get(canonicalize_name(requirement.name))
        if not facts:
            yield f"{requirement} (absent)"
        elif not requirement.specifier.contains(facts["version"], prereleases=True):
            yield f"{requirement} (it has {facts['version']})"
        elif (requirement.name, frozenset(requirement.extras)) not in known:
            known.add((requirement.name, frozenset(requirement.extras)))
            inner = map(Requirement, facts["requires"])
            waiting += [each for each in inner if applies(each, requirement.extras, environment)]


def applies(requirement: Requirement, extras: set[str], environment: Mapping[str, str]) -> bool:
    """Whether something is required on this host, by a distribution of which these extras are wanted."""
    marker = requirement.marker
    return not marker or any(marker.evaluate({**environment, "extra": extra}) for extra in ("", *extras))
