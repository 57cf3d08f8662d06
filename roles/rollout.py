"""How a deploy goes from host to host: in batches, the first of which is the canary, and not beyond some failures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from carboy.applier.resource import Resource
from carboy.fleet.share import Share, batch
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
        for written in self.serial:
            yield from _problem("serial", batch, written)
        yield from _problem("max_fail", Share, self.max_fail)
        if not self.serial:
            yield "serial", "no batch is named"


def _problem(name: str, reads: Callable[[int | str], Share], written: int | str) -> Iterator[tuple[str, str]]:
    try:
        reads(written)
    except ValueError as problem:
        yield name, str(problem)


def resources(host: Host, s: Settings) -> Iterator[Resource]:  # noqa: ARG001 - every role has this form
    """Nothing on the host: this is about the way there."""
    yield from ()
