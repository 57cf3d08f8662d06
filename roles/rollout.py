"""How a deploy goes from host to host: in batches, the first of which is the canary, and not beyond some failures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from carboy.applier.resource import Resource
from carboy.fleet.share import Share
from carboy.inventory import Host
from carboy.settings import Duration


@dataclass(frozen=True)
class Settings:
    """`rollout_*`: the batches, how many hosts may fail, and how long the first batch is watched."""

    serial: tuple[int | str, ...] = (1, "25%", "100%")
    max_fail: int | str = 0
    canary_watch: Duration | None = None

    def validate(self) -> Iterator[tuple[str, str]]:
        """What the types cannot say."""
        for name, shares in (("serial", self.serial), ("max_fail", (self.max_fail,))):
            for problem in filter(None, map(_problem, shares)):
                yield name, problem
        if not self.serial:
            yield "serial", "no batch is named"


def _problem(written: int | str) -> str:
    try:
        Share(written)
    except ValueError as problem:
        return str(problem)
    return ""


def resources(host: Host, s: Settings) -> Iterator[Resource]:  # noqa: ARG001 - every role has this form
    """Nothing on the host: this is about the way there."""
    yield from ()
