"""The run of pytest behind `invoke verify`: which checks on which hosts in which order, and one line for each."""

from __future__ import annotations

import sys
import textwrap
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from carboy.console import Console, columns
from carboy.verify.target import Target

SUITE = Path(__file__).parents[2] / "tests" / "verify"
NAME = "carboy-verify"
COLOURS = {"ok": "green", "failed": "red", "skipped": "yellow"}
WIDTH = 96
NARROWEST = 20


class Verification:
    """A plugin of pytest for one run."""

    def __init__(self, targets: Sequence[Target], console: Console) -> None:
        self.targets, self.console = targets, console
        self.counts: dict[str, Counter[str]] = {target.name: Counter() for target in targets}
        self._began = time.monotonic()
        self._checks: dict[str, dict[str, str]] = {}

    @property
    def codes(self) -> dict[str, int]:
        """The exit code by host: 1 if a check failed, or if none was made."""
        return {name: int(bool(counts["failed"]) or not counts["ok"]) for name, counts in self.counts.items()}

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Replace pytest's own report by lines of the console."""
        config.pluginmanager.unregister(config.pluginmanager.getplugin("terminalreporter"))
        config.addinivalue_line("markers", "kills: kills processes of the app; only where that is allowed")
        config.addinivalue_line("markers", "reboots: reboots the host; only where that is allowed")

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Pass over the checks that are for none of these hosts."""
        concern = any(collection_path.name in target.subjects for target in self.targets)
        return None if not collection_path.is_dir() or collection_path == SUITE or concern else True

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make every check once for each host that it is for: its folder names what a host must have."""
        concerned = [target for target in self.targets if metafunc.definition.path.parent.name in target.subjects]
        metafunc.parametrize("target", concerned, ids=[target.name for target in concerned], scope="session")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Order the checks: host by host, what kills comes last, and a reboot after that."""
        items.sort(key=lambda item: (self.targets.index(_target(item)), _disturbance(item)))
        self._checks = {item.nodeid: _facts(item) for item in items}
        for item in items:
            reason = self._reason_to_skip(item)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Say on a live line what is being checked."""
        if sys.stderr.isatty() and not self.console.machine:
            self.console.event(_target(item).name, {"event": "progress", "text": _title(item)})

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> Any:
        """Keep of an expected kind of failure its words alone."""
        report = yield
        if call.excinfo and report.failed:
            report.longrepr = _words(call.excinfo)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Show the outcome of a check as soon as it is known."""
        if report.when == "call" or not report.passed:
            outcome = "ok" if report.passed else report.outcome
            check = self._checks[report.nodeid]
            self.counts[check["host"]][outcome] += 1
            self._show(check, outcome, report)

    def pytest_sessionfinish(self) -> None:
        """One line for each host that says how it stands."""
        for name, counts in self.counts.items():
            self._recap(name, counts)

    def _show(self, check: dict[str, Any], outcome: str, report: pytest.TestReport) -> None:
        message = _message(report)
        facts = dict(report.user_properties)
        if self.console.machine:
            told = {
                **check,
                "outcome": outcome,
                "seconds": round(report.duration, 3),
                "message": message,
                "facts": facts,
            }
            self.console.event(check["host"], {"event": "check", **told})
            return
        title = " · ".join([check["title"], *(f"{name} {value}" for name, value in facts.items())])
        begin, end = f"{check['host']}  {outcome:<7}  {check['subject']:<9} ", f" {report.duration:6.2f} s"
        for line in laid_out(begin, title, end, columns()):
            self.console.line(line, COLOURS[outcome])
        for words in message.splitlines():
            self.console.line(f"{check['host']}  | {words}")

    def _recap(self, name: str, counts: Counter[str]) -> None:
        words = ", ".join(f"{counts[outcome]} {outcome}" for outcome in COLOURS if counts[outcome]) or "nothing checked"
        seconds = time.monotonic() - self._began
        if self.console.machine:
            self.console.event(name, {"event": "verified", **counts, "seconds": round(seconds, 3)})
        else:
            self.console.line(f"{name}  {words} · {seconds:.1f} s in all", "red" if self.codes[name] else "green")

    def _reason_to_skip(self, item: pytest.Item) -> str:
        target = _target(item)
        if item.get_closest_marker("reboots") and not target.allows("carboy_allow_reboot"):
            return "the inventory does not say carboy_allow_reboot: true"
        if item.get_closest_marker("kills") and not target.may_kill:
            return "ask with --kill, or set carboy_allow_kill: true"
        return ""


def laid_out(begin: str, title: str, end: str, width: int | None) -> list[str]:
    """A check in lines that are no wider than the terminal, if there is one: the title goes on below itself."""
    room = min(WIDTH, max(width - len(begin + end), NARROWEST)) if width else WIDTH
    first, *more = textwrap.wrap(title, room) if width else [title]
    return [f"{begin}{first:<{room}}{end}", *(" " * len(begin) + line for line in more)]


def _target(item: pytest.Item) -> Target:
    target: Target = item.callspec.params["target"]  # type: ignore[attr-defined]
    return target


def _disturbance(item: pytest.Item) -> int:
    return 2 if item.get_closest_marker("reboots") else 1 if item.get_closest_marker("kills") else 0


def _facts(item: pytest.Item) -> dict[str, str]:
    subject, name = item.path.stem.removeprefix("test_"), item.name.removeprefix("test_").partition("[")[0]
    return {"host": _target(item).name, "subject": subject, "check": name, "title": _title(item)}


def _title(item: pytest.Item) -> str:
    text: str = item.obj.__doc__ or item.name  # type: ignore[attr-defined]
    return text.strip().splitlines()[0].removesuffix(".")


def _words(problem: pytest.ExceptionInfo[BaseException]) -> str:
    if isinstance(problem.value, AssertionError):
        return str(problem.value)
    place = problem.traceback[-1]
    return f"{problem.typename}: {problem.value}\nin {place.path}:{place.lineno + 1}"


def _message(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return str(report.longrepr or "")
