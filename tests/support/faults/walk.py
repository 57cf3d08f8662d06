"""Walks through a deploy or a rollback: harm at a point, a look at the host, and a deploy that must put all right."""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.host.conftest import ROOT, Outcome, Site
from tests.support.faults.point import Point

PYTHON, LOOK = "/usr/local/lib/fault-python", "/usr/local/lib/fault-look"
THROUGH = ("-e", f"ansible_python_interpreter={PYTHON}")
COUNT = {"at": "", "nth": 0}
FREE_SECONDS = {"parent": 30.0}
# A run that was killed cannot say how it ended. One that finds no room says so; 6 if the old choice has no room either.
CODES = {"kill": (0, 4), "full": (0, 1, 6)}
SAID_CHARACTERS = 600
FORGET = """
systemctl stop hello.socket 'hello@*.service' 'hello-*@*' || true
rm -rf /srv/hello /var/log/hello /var/lib/carboy /run/carboy* /etc/logrotate.d/hello
rm -rf /etc/systemd/system/hello* /etc/systemd/system/*.wants/*hello* /run/systemd/system/*hello*
systemctl daemon-reload
systemctl reset-failed 'hello*' || true
userdel hello || true
"""


@dataclass(frozen=True)
class Scenario:
    """What is harmed: a change to the site, numbered so that each is new, and the verb that meets it."""

    prepare: Callable[[Site, int], None]
    verb: str = "deploy"
    serves: bool = True
    """Whether requests are answered all the while if nothing is harmed."""
    again: bool = False
    """Whether the next deploy brings another change, so that nothing takes up what the harmed run left."""


@dataclass(frozen=True)
class Look:
    """What the host shows after a run."""

    problems: list[str]
    serving: list[str]
    report: list[tuple[str, str]]

    @property
    def struck(self) -> bool:
        """Whether the run came to the point."""
        return any(kind == "struck" for kind, _ in self.report)

    def count(self, at: str) -> int:
        """How many points of a kind the run passed."""
        return sum(kind == at for kind, _ in self.report)


def _line(site: Site, number: int) -> None:
    _replace_last(site.app / "app/wsgi.py", f"# {number}")


def _requirements(site: Site, number: int) -> None:
    _replace_last(site.app / "app/requirements.txt", f"markupsafe>=2.0.{number}")


def _socket(site: Site, number: int) -> None:
    site.variables["systemd_backlog"] = 1024 + number


def _nothing(site: Site, number: int) -> None:
    """The site stays as it is."""


def _first(site: Site, number: int) -> None:
    """Take away all that a deploy ever put on the host."""
    _line(site, number)
    site.shell(FORGET)


SCENARIOS = {
    "line": Scenario(_line),
    "again": Scenario(_line, again=True),
    "requirements": Scenario(_requirements),
    "socket": Scenario(_socket, serves=False),
    "rollback": Scenario(_nothing, "rollback"),
    "first": Scenario(_first, serves=False),
}
# There the next deploy changes the host even if the harmed run went to its end.
CHANGED_AFTERWARDS = ("again", "rollback")


class Walk:
    """Harm to one site, point by point; what did not hold is collected in `problems`."""

    def __init__(self, site: Site, *, thorough: bool = False) -> None:
        self.site = site
        self.thorough = thorough
        self.problems: list[str] = []
        self.times: list[tuple[Point, float, float]] = []
        self.counted: dict[str, Look] = {}
        self.seen: set[str] = set()
        self.number = 0
        for name, place in (("python.py", PYTHON), ("look.py", LOOK)):
            self._place(Path(__file__).with_name(name), place)

    def change(self) -> None:
        """Change a line of the app, so that there is something to deploy."""
        self.number += 1
        _line(self.site, self.number)

    def count(self, scenario: str) -> Look:
        """Which points a scenario has: it is carried out without harm, once."""
        if scenario not in self.counted:
            self._harmed(scenario, COUNT)
            self.counted[scenario] = self.look(0)
            self.site.invoke("deploy")
        return self.counted[scenario]

    def harm(self, point: Point) -> None:
        """Do harm at a point; then all must serve, and the next deploy must go well and leave nothing to do."""
        began = time.time()
        outcome = self._harmed(point.scenario, point.order)
        found = self.look(FREE_SECONDS.get(point.how, 2.0))
        allowed = CODES["full" if point.how == "full" else "kill"] if found.struck else (0,)
        self._hold(point, outcome.code in allowed, f"exit {outcome.code}", outcome)
        if SCENARIOS[point.scenario].again:
            self.change()
        changed = self._converge(point, found)
        finished = point.how != "parent" or point.scenario in CHANGED_AFTERWARDS or not changed
        self._hold(point, finished, f"the run did not finish alone: {changed}")
        self.times.append((point, began, time.time()))

    def reboot(self, point: Point) -> None:
        """Take the power from the host at a point; it must come up serving, and the next deploy must go well."""
        verb = self._order(point.scenario, point.order)
        command, silent = self.site.command(verb, *THROUGH), subprocess.DEVNULL
        run = subprocess.Popen(command, cwd=ROOT, env=self.site.env, stdout=silent, stderr=silent)
        self.site.shell("timeout 60 sh -c 'until grep -q struck /run/fault.log; do sleep 0.02; done'")
        self.site.host.container.engine.run("kill", self.site.host.container.name)
        self.site.host = self.site.host.reboot()
        self._hold(point, run.wait() == 4, f"exit {run.returncode}")
        self._converge(point, self.look(0))

    def look(self, seconds: float, *words: str) -> Look:
        """Look over the host, once the lock is free or so many seconds passed."""
        said = self.site.host.container.exec(LOOK, "hello", str(seconds), *words)
        found: dict[str, Any] = json.loads(said)
        return Look(found["problems"], found["serving"], [(kind, what) for kind, what in found["report"]])

    def blame(self, failures: list[str]) -> None:
        """Take in the failures of a load, each under the point during which it happened."""
        during: dict[str, list[str]] = {}
        for failure in failures:
            at = float(failure.split()[0])
            points = [str(point) for point, began, ended in self.times if began <= at <= ended]
            during.setdefault(" or ".join(points) or "between points", []).append(failure)
        self.problems += [f"{point}: {len(all_)} requests failed: {all_[0]}" for point, all_ in during.items()]

    def through(self, order: dict[str, Any], verb: str) -> Outcome:
        """Carry out a verb by the stand-in for Python, under an order."""
        self._give(order)
        return self.site.invoke(verb, *THROUGH, expect=None)

    def _harmed(self, scenario: str, order: dict[str, Any]) -> Outcome:
        return self.site.invoke(self._order(scenario, order), *THROUGH, expect=None)

    def _order(self, scenario: str, order: dict[str, Any]) -> str:
        """Prepare a scenario and give the order; returns the verb that will meet both."""
        self.number += 1
        SCENARIOS[scenario].prepare(self.site, self.number)
        self._give(order)
        return SCENARIOS[scenario].verb

    def _give(self, order: dict[str, Any]) -> None:
        self.site.shell(f"echo {shlex.quote(json.dumps(order))} >/run/fault.json; rm -f /run/fault.log")

    def _converge(self, point: Point, found: Look) -> list[str]:
        """Report what the host showed, and deploy; returns what that changed."""
        for problem in found.problems:
            self._hold(point, False, problem)
        outcome = self.site.invoke("deploy", expect=None)
        self._hold(point, outcome.code == 0, f"the next deploy exits {outcome.code}", outcome)
        # Halves of things are pruned by the next switch, which this deploy may not have needed.
        for problem in self.look(0, "rest", *(["pruned"] if outcome.changed else [])).problems:
            self._once(point, f"after the next deploy: {problem}")
        if self.thorough:
            planned = self.site.invoke("plan", expect=None)
            self._hold(point, planned.code == 0, "a plan finds something to do", planned)
        return outcome.changed

    def _hold(self, point: Point, holds: bool, what: str, outcome: Outcome | None = None) -> None:
        if not holds:
            said = (outcome.stdout + outcome.stderr)[-SAID_CHARACTERS:] if outcome else ""
            self.problems.append(f"{point}: {what}\n{said}".rstrip())

    def _once(self, point: Point, what: str) -> None:
        """Report what stays wrong only at the first point after which it was seen."""
        if what not in self.seen:
            self.seen.add(what)
            self._hold(point, False, what)

    def _place(self, source: Path, place: str) -> None:
        container = self.site.host.container
        container.engine.run("cp", str(source), f"{container.name}:{place}")
        self.site.shell(f"chmod 755 {place}; chown root: {place}")


def _replace_last(path: Path, line: str) -> None:
    """Put a line at the end of a file, in the place of the one that was put there before."""
    marker = "# walked\n"
    path.write_text(path.read_text().partition(marker)[0] + marker + line + "\n")
