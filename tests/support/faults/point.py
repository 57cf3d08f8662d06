"""One point of a run at which harm is done, in a form that can be printed and typed in again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

ROOM = ("open", "os.rename", "os.mkdir", "os.symlink")
REMOVAL = ("os.remove", "os.rmdir")
LONGEST_DELAY = 1.5


@dataclass(frozen=True)
class Point:
    """`line:alone:17:self:0.25`: of the scenario `line` the 17th effect after the run goes on alone, 0.25 s later.

    `at` is event, before or alone; an event is struck after it was sent, an effect before it happens. `how` is self
    (kill the process that works), parent (kill the one that waits for it), all (both, and what they started), full
    (from there on the disk is) or stop (stand still, so that the host can be rebooted).
    """

    scenario: str
    at: str
    nth: int
    how: str = "self"
    delay: float = 0.0

    def __str__(self) -> str:
        return ":".join(map(str, (self.scenario, self.at, self.nth, self.how, self.delay)))

    @classmethod
    def parse(cls, text: str) -> Point:
        """Read what `str` wrote; the last two parts may be absent."""
        scenario, at, nth, how, delay = (*text.split(":"), *("self", "0")[text.count(":") - 2 :])
        return cls(scenario, at, int(nth), how, float(delay))

    @property
    def kind(self) -> str:
        """What is done to it, in a word or two."""
        if self.how == "full":
            return "full disk"
        return "event" if self.at == "event" else "moment" if self.delay else "effect"

    @property
    def order(self) -> dict[str, Any]:
        """What the host's stand-in for Python is to do."""
        do = {"full": "fill", "stop": "stop"}.get(self.how, "kill")
        return {"do": do, "at": self.at, "nth": self.nth, "who": self.how, "delay": self.delay}


def events(scenario: str, report: Iterable[tuple[str, str]]) -> list[Point]:
    """A kill after each event of a run."""
    return [point for point, _ in _numbered(scenario, report) if point.at == "event"]


def effects(scenario: str, report: Iterable[tuple[str, str]]) -> list[Point]:
    """A kill before each effect of a run; of many removals in a row the first and the last stand for all."""
    numbered = [(point, what.startswith(REMOVAL)) for point, what in _numbered(scenario, report) if point.at != "event"]
    around = [False, *(removal for _, removal in numbered), False]
    return [point for at, (point, _) in enumerate(numbered) if not all(around[at : at + 3])]


def full_disks(scenario: str, report: Iterable[tuple[str, str]]) -> list[Point]:
    """A disk that is full from each effect on that needs room, once the run goes on alone."""
    found = [(point, what) for point, what in _numbered(scenario, report) if point.at == "alone"]
    return [Point(scenario, "alone", point.nth, "full") for point, what in found if what.startswith(ROOM)]


def moments(scenario: str, report: Iterable[tuple[str, str]], random: Random) -> Iterator[Point]:
    """Kills at random moments, of one or more of the run's processes, without end."""
    count = sum(kind == "alone" for kind, _ in report)
    while True:
        how = random.choice(("self", "all", "parent"))
        yield Point(scenario, "alone", random.randint(1, count), how, round(random.uniform(0, LONGEST_DELAY), 3))


def _numbered(scenario: str, report: Iterable[tuple[str, str]]) -> Iterator[tuple[Point, str]]:
    counts: Counter[str] = Counter()
    for kind, what in report:
        counts[kind] += 1
        yield Point(scenario, kind, counts[kind]), what
