"""The checks of one host: a run of pytest that says what each of them found."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from carboy.declaration import Declaration
from carboy.errors import CarboyError, FailedError, fault
from carboy.verify.backend import Backend
from carboy.verify.target import Target

Event = dict[str, Any]
Say = Callable[[Any], None]
"""Takes events, and an error if there is one."""
SUITE = Path(__file__).parents[2] / "tests" / "verify"
OUTCOMES = ("ok", "failed", "skipped")
EXPECTED = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED)
OPTIONS = (
    "--quiet",
    "--assert=plain",
    "--capture=no",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:xdist",
    "--import-mode=importlib",
)


def check(say: Say, *, declared: Declaration, kill: bool, live: bool) -> None:
    """Make every check that concerns a host, and say what each found; with `live` also what is being checked."""
    say({"event": "connecting"})
    try:
        with Backend(declared.host) as backend:
            target = Target(declared, backend, kill=kill)
            if not target.release:
                where = f"host {target.name}, {target.app.home}"
                raise FailedError("nothing is deployed", where=where, hint=target.repair)
            _make(Verification(target, say, live=live))
    except Exception as problem:  # whatever it is, it concerns no other host
        say(problem if isinstance(problem, CarboyError) else fault(problem))


def _make(verification: Verification) -> None:
    ended = pytest.main([str(SUITE), *OPTIONS], plugins=[verification])
    # Anything else than good and bad checks is no good news of any host; an interrupt its sender knows of.
    if verification.trouble or ended not in EXPECTED:
        what = f"not all checks could be made: {verification.trouble or f'pytest says {ended}'}"
        raise FailedError(what, where=f"host {verification.target.name}", hint="is tests/verify as it should be?")


class Verification:
    """A plugin of pytest for one run."""

    def __init__(self, target: Target, say: Say, *, live: bool) -> None:
        self.target, self.release = target, target.release
        self.trouble = ""
        self._say, self._live = say, live
        self._counts: Counter[str] = Counter()
        self._began = time.monotonic()
        self._checks: dict[str, dict[str, str]] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Replace pytest's own report by events."""
        config.pluginmanager.unregister(config.pluginmanager.getplugin("terminalreporter"))
        config.addinivalue_line("markers", "kills: kills processes of the app; only where that is allowed")
        config.addinivalue_line("markers", "reboots: reboots the host; only where that is allowed")

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Pass over the checks that are not for this host: their folder names what a host must have."""
        concern = collection_path.name in self.target.subjects
        return None if not collection_path.is_dir() or collection_path == SUITE or concern else True

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember a file that cannot be read as checks."""
        if report.failed:
            self.trouble = f"{report.nodeid}: {str(report.longrepr).strip().rpartition(chr(10))[2]}"

    def pytest_internalerror(self, excrepr: object) -> None:
        """Remember a fault of pytest or of a plugin."""
        self.trouble = str(excrepr).strip().rpartition("\n")[2]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Give every check the app on this host."""
        metafunc.parametrize("target", [self.target], ids=[self.target.name], scope="session")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Order the checks: what kills comes last, and a reboot after that."""
        items.sort(key=_disturbance)
        self._checks = {item.nodeid: _facts(self.target.name, item) for item in items}
        for item in items:
            reason = self._reason_to_skip(item)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Say for a live line what is being checked."""
        if self._live:
            self._say({"event": "progress", "text": _title(item)})

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> Any:
        """Keep of an expected kind of failure its words alone."""
        report = yield
        if call.excinfo and report.failed:
            report.longrepr = _words(call.excinfo)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Tell the outcome of a check as soon as it is known."""
        if report.when == "call" or not report.passed:
            outcome = "ok" if report.passed else report.outcome
            self._counts[outcome] += 1
            found = {"outcome": outcome, "seconds": round(report.duration, 3), "message": _message(report)}
            facts = dict(report.user_properties)
            self._say({"event": "check", **self._checks[report.nodeid], **found, "facts": facts})

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Tell how the host stands; of an interrupt nothing, lest some of the checks pass for all."""
        if exitstatus == pytest.ExitCode.INTERRUPTED:
            return
        seconds = round(time.monotonic() - self._began, 3)
        counts = {outcome: self._counts[outcome] for outcome in OUTCOMES}
        self._say({"event": "verified", "release": self.release, **counts, "seconds": seconds})

    def _reason_to_skip(self, item: pytest.Item) -> str:
        if item.get_closest_marker("reboots") and not self.target.allows("carboy_allow_reboot"):
            return "the inventory does not say carboy_allow_reboot: true"
        if item.get_closest_marker("kills") and not self.target.may_kill:
            return "ask with --kill, or set carboy_allow_kill: true"
        return ""


def _disturbance(item: pytest.Item) -> int:
    return 2 if item.get_closest_marker("reboots") else 1 if item.get_closest_marker("kills") else 0


def _facts(host: str, item: pytest.Item) -> dict[str, str]:
    subject, name = item.path.stem.removeprefix("test_"), item.name.removeprefix("test_").partition("[")[0]
    return {"host": host, "subject": subject, "check": name, "title": _title(item)}


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
