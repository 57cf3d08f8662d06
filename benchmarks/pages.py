"""What was measured as tables, and where these are written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import plot
from benchmarks.cases import LABELS, ONE, SSH
from benchmarks.contestants import Ansible, Carboy, Pyinfra
from benchmarks.results import Results
from carboy.project import ROOT

PERFORMANCE = ROOT / "docs/performance.md"
README = ROOT / "README.md"
PLOT = ROOT / "docs/performance.svg"
BEGIN, END = "<!-- benchmark: begin -->", "<!-- benchmark: end -->"
CASES = {
    "unchanged": "unchanged, 1 host",
    "changed": "one-line change, 1 host",
    "first": "first deploy, 1 host",
    "unchanged, far": "unchanged, 1 host, 50 ms round trip",
    "changed, far": "one-line change, 1 host, 50 ms round trip",
    "unchanged, fleet": "unchanged, {fleet} hosts",
    "changed, fleet": "one-line change, {fleet} hosts",
    "first, fleet": "first deploy, {fleet} hosts",
}
SHORT = ("unchanged", "changed", "first", "unchanged, far", "unchanged, fleet")
"""What the README shows."""


@dataclass(frozen=True)
class Target:
    """What is aimed at, and how that is read from what was measured."""

    what: str
    limit: float
    unit: str
    measured: Callable[[Results], float | None]
    least: bool = False
    """Whether the limit is the least, not the most, that is good."""

    def row(self, results: Results) -> str:
        """A line of the table, empty if it was not measured."""
        found = self.measured(results)
        if found is None:
            return ""
        met = found >= self.limit if self.least else found <= self.limit
        wanted = f"{'at least' if self.least else 'at most'} {self.limit:g} {self.unit}"
        return _line([self.what, wanted, f"{found:.2f} {self.unit}", "met" if met else "missed"])


def _ratio(case: str, label: str, other: str) -> Callable[[Results], float | None]:
    return lambda results: results.ratio(case, label, other)


def _median(case: str) -> Callable[[Results], float | None]:
    return lambda results: results.seconds(case, Carboy.label)


TARGETS = (
    Target("unchanged, 1 host, next to `ssh host true`", 2, "times", _ratio("unchanged", Carboy.label, SSH)),
    Target("the same at 50 ms round trip", 1.6, "times", _ratio("unchanged, far", Carboy.label, SSH)),
    Target("tuned Ansible next to Carboy", 15, "times", _ratio("unchanged", Ansible.label, Carboy.label), least=True),
    Target("pyinfra next to Carboy", 4, "times", _ratio("unchanged", Pyinfra.label, Carboy.label), least=True),
    Target("16 hosts next to 1 host, unchanged", 6, "times", _ratio("unchanged, fleet", Carboy.label, ONE)),
    Target(
        "controller's memory for each host more",
        2,
        "MB",
        lambda results: max((slope / 1e6 for slope in results.slopes()), default=None),
    ),
    Target("one-line change, health gate included", 3, "s", _median("changed")),
    Target("rollback", 2, "s", _median("rollback")),
    Target("first deploy", 6, "s", _median("first")),
)


def tables(results: Results) -> str:
    """All that was measured, as Markdown."""
    parts = [
        _seconds(results, CASES),
        _targets(results),
        _memory(results),
        f"Measured on {results.date}: {results.machine}.",
    ]
    return "\n\n".join(part for part in parts if part)


def write(results: Results) -> None:
    """Put the tables and the plot where they are read."""
    PLOT.write_text(
        plot.svg({_title(results, case): _medians(results, case) for case in CASES if case in results.cases})
    )
    picture = f"![Seconds of each, on a logarithmic scale]({PLOT.name})"
    _put(PERFORMANCE, f"{tables(results)}\n\n{picture}")
    _put(README, _seconds(results, SHORT))


def _put(page: Path, text: str) -> None:
    """Replace what stands between the markers of a page; a page without them is left alone."""
    between = re.compile(f"(?<={re.escape(BEGIN)}\n).*(?={re.escape(END)})", re.DOTALL)
    page.write_text(between.sub(lambda _: f"\n{text}\n\n", page.read_text()))


def _seconds(results: Results, cases: dict[str, str] | tuple[str, ...]) -> str:
    shown = [case for case in cases if case in results.cases]
    if not shown:
        return ""
    head = ["seconds, and times as long as Carboy", f"`{SSH}`", *LABELS]
    return "\n".join([_line(head), _line(["---"] * len(head)), *(_line(_cells(results, case)) for case in shown)])


def _cells(results: Results, case: str) -> Iterator[str]:
    yield _title(results, case)
    for label in (SSH, *LABELS):
        seconds, ratio = results.seconds(case, label), results.ratio(case, label, Carboy.label)
        own = "" if label in (SSH, Carboy.label) or ratio is None else f" ({ratio:.1f})"
        yield "" if seconds is None else f"{seconds:.2f}{own} · {results.times(case, label)}"


def _targets(results: Results) -> str:
    rows = [row for row in (target.row(results) for target in TARGETS) if row]
    return "\n".join([_line(["Target", "Wanted", "Measured", ""]), _line(["---"] * 4), *rows]) if rows else ""


def _memory(results: Results) -> str:
    if not results.memory:
        return ""
    each = [
        f"{hosts} host{'s' * (hosts > 1)} {size / 1e6:.0f} MB in {_scaled(results, hosts):.1f} s"
        for hosts, size in sorted(results.memory.items())
    ]
    return f"One unchanged run, many names for a few hosts, none of which failed: {', '.join(each)}."


def _scaled(results: Results, hosts: int) -> float:
    return results.seconds(f"scale, {hosts}", Carboy.label) or 0.0


def _title(results: Results, case: str) -> str:
    return CASES[case].format(fleet=results.fleet)


def _medians(results: Results, case: str) -> dict[str, float]:
    found = {label: results.seconds(case, label) for label in (SSH, *LABELS)}
    return {label: seconds for label, seconds in found.items() if seconds is not None}


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
