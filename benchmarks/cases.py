"""What is measured: rounds in which all contestants do the same in turn."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contestants import Ansible, Carboy, Contestant, PlainAnsible, Pyinfra, plain_ssh
from benchmarks.fleet import Targets, far, fleet, many
from benchmarks.packages import pack
from benchmarks.process import peak, run
from benchmarks.results import Results, Round
from carboy.project import ROOT

SSH = "ssh host true"
ONE = "Carboy, 1 host"
LABELS = (Carboy.label, Pyinfra.label, Ansible.label, PlainAnsible.label)
SETTLE_SECONDS = 0.5
LOCK_SECONDS = 600


@dataclass(frozen=True)
class Extent:
    """How often each case is measured, and on how many hosts."""

    first: int = 3
    changed: int = 4
    unchanged: int = 12
    far: int = 6
    hosts: int = 16
    fleet_changed: int = 2
    fleet_unchanged: int = 4
    scale: tuple[int, ...] = (1, 16, 100, 500)


QUICK = Extent(1, 1, 1, 1, 2, 1, 1, (1, 2, 16))


class Bench:
    """The contestants, what they have to do how often, and what was measured so far."""

    def __init__(self, work: Path, extent: Extent, results: Results) -> None:
        packages = pack(work)
        self.work, self.extent, self.results = work, extent, results
        self.carboy = Carboy(work, packages)
        self.all = [self.carboy, *(kind(work, packages) for kind in (Pyinfra, Ansible, PlainAnsible))]

    def warm_up(self) -> None:
        """Have Carboy's own wheels at hand, which the others are given too."""
        with fleet(1) as targets:
            self.carboy.deploy(targets)

    def one(self) -> None:
        """One host, near."""
        for _ in range(self.extent.first - 1):
            with fleet(1) as targets:
                self._first("first", targets)
        with fleet(1) as targets:
            self._first("first", targets)
            self._changed("changed", targets, self.extent.changed)
            self._repeat("unchanged", self.extent.unchanged, lambda number: self._unchanged(targets, number, ssh=True))
            self._repeat("rollback", self.extent.changed, lambda _: self._rollback(targets))

    def far(self) -> None:
        """One host behind a line with a round trip of 50 ms."""
        with fleet(1) as near:
            self._each(lambda each: self._deploy(each, near, drift=True), 0)
            with far(near) as targets:
                # Not counted: who keeps a connection has it now.
                self._unchanged(targets, 0, ssh=True)
                self._changed("changed, far", targets, self.extent.far // 2 or 1)
                self._repeat(
                    "unchanged, far", self.extent.far, lambda number: self._unchanged(targets, number, ssh=True)
                )

    def fleet(self) -> None:
        """Many hosts, near."""
        with fleet(self.extent.hosts) as targets:
            self._first("first, fleet", targets)
            self._changed("changed, fleet", targets, self.extent.fleet_changed)
            self._repeat(
                "unchanged, fleet", self.extent.fleet_unchanged, lambda number: self._beside_one(targets, number)
            )

    def scale(self) -> None:
        """Many names for few hosts: all must end well; the memory is that of the controller."""
        with fleet(min(self.extent.hosts, 8)) as hosts:
            self.carboy.deploy(hosts)
            for count in self.extent.scale:
                self._scaled(many(hosts, count))

    def _scaled(self, targets: Targets) -> None:
        self.carboy.introduce(targets)
        command = [*self.carboy.command(targets), "--wait", str(LOCK_SECONDS)]
        done, memory = peak(command, self.carboy.env, cwd=ROOT)
        self._expect(self.carboy, self.carboy.changed(done.said) == 0, "an unchanged run changed something")
        self.results.memory[len(targets)] = memory
        self._add(f"scale, {len(targets)}", {Carboy.label: done.seconds})

    def _first(self, case: str, targets: Targets) -> None:
        self._add(case, self._each(lambda each: self._deploy(each, targets, drift=True), 0))

    def _changed(self, case: str, targets: Targets, times: int) -> None:
        def edited(each: Contestant) -> float:
            each.edit()
            return self._deploy(each, targets, drift=True)

        self._repeat(case, times, lambda number: self._each(edited, number))

    def _unchanged(self, targets: Targets, number: int, *, ssh: bool = False) -> Round:
        login: Round = {}

        def again(each: Contestant) -> float:
            if ssh and each is self.carboy:
                # Right beside it, because their ratio is looked at closest.
                each.introduce(targets)
                login[SSH] = plain_ssh(self.work, targets[0]).seconds
            return self._deploy(each, targets, drift=False)

        return {**self._each(again, number), **login}

    def _beside_one(self, targets: Targets, number: int) -> Round:
        alone = self._deploy(self.carboy, targets[:1], drift=False)
        return {**self._unchanged(targets, number), ONE: alone}

    def _rollback(self, targets: Targets) -> Round:
        # A gevent worker looks once a second whether it should end: a person's moment is a random one in that second.
        time.sleep(random.random())
        done = run(self.carboy.verb("rollback", targets), self.carboy.env, cwd=ROOT)
        return {Carboy.label: done.seconds}

    def _each(self, act: Callable[[Contestant], float], number: int) -> Round:
        """One round; who takes long sits out some, and nobody always comes after the same one."""
        taking_part = [each for each in self.all if number % each.every == 0]
        turn = number % len(taking_part)
        return {each.label: act(each) for each in [*taking_part[turn:], *taking_part[:turn]]}

    def _deploy(self, each: Contestant, targets: Targets, *, drift: bool) -> float:
        time.sleep(SETTLE_SECONDS)
        done = each.deploy(targets)
        self._expect(each, bool(each.changed(done.said)) == drift, f"drift was {drift}, and it says:\n{done.said}")
        self._expect(each, all(map(each.answers, targets)), "the app does not answer as it was last edited")
        print(f"  {each.label}, {len(targets)}: {done.seconds:.2f} s, {done.cpu:.2f} s of CPU", file=sys.stderr)
        return done.seconds

    def _expect(self, each: Contestant, true: bool, problem: str) -> None:
        if not true:
            raise SystemExit(f"{each.label}: {problem}")

    def _repeat(self, case: str, times: int, once: Callable[[int], Round]) -> None:
        for number in range(times):
            self._add(case, once(number))

    def _add(self, case: str, measured: Round) -> None:
        self.results.cases.setdefault(case, []).append(measured)
        shown = ", ".join(f"{label} {seconds:.2f} s" for label, seconds in measured.items())
        print(f"{case}: {shown}", file=sys.stderr)
