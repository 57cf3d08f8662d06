"""The long walk through faults: `python -m tests.soak [SECONDS [SKIP]]`, or `python -m tests.soak POINT...`.

The order of the points comes from a seed, which is printed; CARBOY_SEED sets it, and SKIP leaves out those that an
earlier run with the same seed has walked. Exits 1 if anything did not hold.
"""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random

from tests.host.conftest import site
from tests.support.faults import SCENARIOS, Point, Walk, effects, events, full_disks, moments
from tests.support.load import load

SECONDS = 1800.0
AT_ONCE = 20
SETTINGS = {"release_keep": 2, "release_watch": "500ms"}


@dataclass
class Soak:
    """A walk with its figures."""

    walk: Walk
    until: float
    requests: int = 0
    failed: int = 0
    told: int = 0
    walked: Counter[str] = field(default_factory=Counter)

    @property
    def left(self) -> bool:
        """Whether there is time for another point."""
        return time.monotonic() < self.until

    def points(self, seed: str) -> Iterator[Point]:
        """Every point of every scenario once, in the seed's order, each followed by a random moment; then moments."""
        random = Random(seed)
        reports = {scenario: self.walk.count(scenario).report for scenario in SCENARIOS}
        kinds = (events, effects, full_disks)
        found = [point for name, report in reports.items() for kind in kinds for point in kind(name, report)]
        endless = {name: moments(name, report, random) for name, report in reports.items()}
        print(f"seed {seed}: {len(found)} points, and a random moment after each", flush=True)
        random.shuffle(found)
        for point in found:
            yield from (point, next(endless[point.scenario]))
        while True:
            yield next(endless[random.choice(list(endless))])

    def run(self, points: Iterator[Point]) -> None:
        """Walk until the time or the points are over, each few points under a load of their own."""
        while self.left and (some := list(islice(points, AT_ONCE))):
            with load(self.walk.site.port, clients=4) as result:
                self._each([point for point in some if SCENARIOS[point.scenario].serves])
            self.requests += result.requests
            self.failed += len(result.failures)
            self.walk.blame(result.failures)
            self._each([point for point in some if not SCENARIOS[point.scenario].serves])
            self.renew()
            self._tell()

    def renew(self) -> None:
        """Have an earlier release, which a rollback needs, on a host that was new or taken back to nothing."""
        self.walk.change()
        self.walk.site.invoke("deploy")

    def _each(self, points: list[Point]) -> None:
        for point in points:
            if self.left:
                self.walk.harm(point)
                self.walked[f"{point.scenario} {point.kind}"] += 1

    def _tell(self) -> None:
        for problem in self.walk.problems[self.told :]:
            print(f"FAILED {problem}")
        self.told = len(self.walk.problems)
        print(f"{self.walked.total()} points, {self.requests} requests, {self.failed} failed", flush=True)


def main(arguments: list[str]) -> int:
    """Walk, and print the figures."""
    named = [Point.parse(text) for text in arguments if ":" in text]
    numbers = [float(text) for text in arguments if ":" not in text]
    seconds, skip = (*numbers, *(SECONDS, 0.0)[len(numbers) :])
    with tempfile.TemporaryDirectory() as folder, site(Path(folder)) as made:
        made.variables |= SETTINGS
        made.invoke("deploy")
        soak = Soak(Walk(made, thorough=True), time.monotonic() + seconds)
        soak.renew()
        seed = os.environ.get("CARBOY_SEED") or secrets.token_hex(4)
        soak.run(iter(named) if named else islice(soak.points(seed), int(skip), None))
    for kind, count in sorted(soak.walked.items()):
        print(f"{kind}: {count}")
    print(f"{soak.walked.total()} points, {soak.requests} requests, {soak.failed} failed; did not hold: {soak.told}")
    return 1 if soak.told else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
