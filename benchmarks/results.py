"""What was measured, as it is kept between a run and its pages."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

Round = dict[str, float]
"""Seconds of each who took part in one round, by label."""


@dataclass
class Results:
    """All rounds of all cases, the memory by number of hosts, and the machine."""

    machine: str = ""
    date: str = ""
    fleet: int = 0
    """How many hosts "many" are."""
    cases: dict[str, list[Round]] = field(default_factory=dict)
    memory: dict[int, int] = field(default_factory=dict)
    """The most bytes that the controller had, by number of hosts."""

    def seconds(self, case: str, label: str) -> float | None:
        """The median, None for whoever did not take part."""
        found = [each[label] for each in self.cases.get(case, ()) if label in each]
        return statistics.median(found) if found else None

    def ratio(self, case: str, label: str, other: str) -> float | None:
        """The median of the ratios to another in the same round: a slow moment slows both."""
        both = [each for each in self.cases.get(case, ()) if label in each and other in each]
        return statistics.median(each[label] / each[other] for each in both) if both else None

    def times(self, case: str, label: str) -> int:
        """In how many rounds somebody took part."""
        return sum(label in each for each in self.cases.get(case, ()))

    def slopes(self) -> Iterator[float]:
        """Bytes for each host more than one, from one to each larger number of hosts."""
        alone = min(self.memory, default=0)
        for hosts in sorted(self.memory):
            if hosts > alone:
                yield (self.memory[hosts] - self.memory[alone]) / (hosts - alone)

    def save(self, path: Path) -> None:
        """Keep it."""
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, path: Path) -> Results:
        """What was kept."""
        found = json.loads(path.read_text())
        return cls(**{**found, "memory": {int(hosts): size for hosts, size in found["memory"].items()}})
