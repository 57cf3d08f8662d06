"""What the checks of all hosts found: for the result of each, and as a JUnit file."""

from __future__ import annotations

import errno
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from carboy.console.text import visible
from carboy.declaration import Declaration
from carboy.errors import CarboyError, DeclarationError, FailedError, UnreachableError
from carboy.inventory import Host
from carboy.ssh.endpoint import endpoint

Event = dict[str, Any]
# No XML can have these, not even written as references.
NO_XML = re.compile("[\ufffe\uffff]")


@dataclass
class Report:
    """What was found on one host."""

    declared: Declaration
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    checks: list[Event] = field(default_factory=list)
    verified: Event = field(default_factory=dict)
    error: CarboyError | None = None
    begun: bool = False

    def add(self, said: Event | CarboyError) -> None:
        """Take in an event, or why there are no more."""
        if isinstance(said, CarboyError):
            self.error = said
        elif said["event"] == "connecting":
            self.began, self.begun = datetime.now(UTC), True
        elif said["event"] == "check":
            self.checks.append(said)
        elif said["event"] == "verified":
            self.verified = said

    @property
    def trouble(self) -> CarboyError | None:
        """Why it does not tell of all checks, if that is so."""
        if self.error or self.verified:
            return self.error
        what = "the checks were interrupted" if self.begun else "the checks were not begun"
        return FailedError(what, where=f"host {self.declared.host.name}", hint="verify again")

    @property
    def counts(self) -> Counter[str]:
        """How many checks had which outcome."""
        return Counter(check["outcome"] for check in self.checks)

    @property
    def code(self) -> int:
        """The exit code of the host: 1 also if no check was made."""
        if self.trouble:
            return self.trouble.exit_code
        return int(bool(self.counts["failed"]) or not self.counts["ok"])

    @property
    def facts(self) -> Event:
        """What became of the host, for its result."""
        state = "unreachable" if isinstance(self.trouble, UnreachableError) else "failed" if self.code else "ok"
        release, seconds = self.verified.get("release", ""), (datetime.now(UTC) - self.began).total_seconds()
        unchanged = {"changed": 0, "ok": 0, "before": "", "cutover": None}
        return {**unchanged, "state": state, "release": release, "seconds": round(seconds, 3), "text": self._text}

    @property
    def _text(self) -> str:
        if self.trouble:
            return self.trouble.what
        failed = [check["check"] for check in self.checks if check["outcome"] == "failed"]
        if failed:
            return f"{len(failed)} failed: {', '.join(failed)}"
        return ", ".join(f"{count} {outcome}" for outcome, count in self.counts.items()) or "nothing checked"


def place(path: Path) -> Path:
    """The file to write to, links followed; `DeclarationError`, before any host is asked, if that cannot be."""
    target = path if _odd(path) else path.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not _odd(target):
            _draft(target).touch()
            _draft(target).unlink()
    except OSError as problem:
        what = f"no report can be written: {problem.strerror}"
        raise DeclarationError(what, where=f"--junit {path}", hint="name another file") from problem
    return target


def _odd(path: Path) -> bool:
    """Whether it is a device or a pipe: in its place no file can be put."""
    return path.exists() and not path.is_file()


def _draft(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}")


def write(path: Path, run: str, reports: Iterable[Report]) -> None:
    """Write a JUnit file, whole or not at all: a suite for each host; one that was not asked all has an error."""
    text = _junit(run, reports)
    try:
        if _odd(path):
            path.write_bytes(text)
            return
        _draft(path).write_bytes(text)
        _draft(path).replace(path)
    except OSError as problem:
        _draft(path).unlink(missing_ok=True)
        what = f"the report cannot be written: {problem.strerror}"
        raise FailedError(what, where=f"--junit {path}", hint="make room, or name another file") from problem


def _junit(run: str, reports: Iterable[Report]) -> bytes:
    root = ElementTree.Element("testsuites", {"name": "carboy verify"})
    sums: Counter[str] = Counter()
    for report in reports:
        suite = _suite(run, report)
        root.append(suite)
        sums.update({name: int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")})
    seconds = sum(float(suite.attrib["time"]) for suite in root)
    root.attrib.update({**{name: str(number) for name, number in sums.items()}, "time": f"{seconds:.3f}"})
    ElementTree.indent(root)
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _suite(run: str, report: Report) -> ElementTree.Element:
    host, counts, errors = report.declared.host, report.counts, int(report.trouble is not None)
    numbers = {"failures": counts["failed"], "errors": errors, "skipped": counts["skipped"]}
    seconds = report.verified.get("seconds") or sum(check["seconds"] for check in report.checks)
    attributes = {
        "name": host.name,
        "hostname": host.name,
        "tests": len(report.checks) + errors,
        **numbers,
        "time": f"{seconds:.3f}",
        "timestamp": report.began.isoformat(timespec="seconds"),
    }
    suite = _element("testsuite", attributes)
    told = {"run": run, "app": report.declared.app, "address": _address(host)}
    suite.append(_properties({**told, "release": report.verified.get("release", "")}))
    suite.extend(_case(host.name, check) for check in report.checks)
    if report.trouble:
        suite.append(_broken(host.name, report.trouble))
    return suite


def _address(host: Host) -> str:
    """Where ssh's configuration has the host, which need not be what the inventory says."""
    if host.local:
        return "local"
    try:
        end = endpoint(host)
    except CarboyError:
        return host.address
    return f"{end.address}:{end.port}"


def _case(host: str, check: Event) -> ElementTree.Element:
    attributes = {"classname": f"{host}.{check['subject']}", "name": check["check"], "time": f"{check['seconds']:.3f}"}
    case = _element("testcase", attributes)
    case.append(_properties({"title": check["title"], **check["facts"]}))
    if check["outcome"] != "ok":
        name = "failure" if check["outcome"] == "failed" else "skipped"
        case.append(_element(name, {"message": check["message"].partition("\n")[0]}, check["message"]))
    return case


def _broken(host: str, error: CarboyError) -> ElementTree.Element:
    case = _element("testcase", {"classname": f"{host}.connection", "name": "verify", "time": "0.000"})
    case.append(_element("error", {"message": error.what, "type": type(error).__name__}, str(error)))
    return case


def _properties(facts: Mapping[str, object]) -> ElementTree.Element:
    found = _element("properties", {})
    found.extend(_element("property", {"name": name, "value": value}) for name, value in facts.items())
    return found


def _element(name: str, attributes: Mapping[str, object], text: str = "") -> ElementTree.Element:
    made = ElementTree.Element(name, {key: _fit(str(value)) for key, value in attributes.items()})
    made.text = _fit(text) or None
    return made


def _fit(text: str) -> str:
    return NO_XML.sub("?", visible(text))
