"""What became of hosts: a line for each when it is through, a table at the end, and all of it in one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from carboy.console.text import DOT, cells, fitted, one_line, padded
from carboy.console.words import Line, line

Event = dict[str, Any]
TOLD = ("deploy", "plan", "rollback", "verify")
"""Verbs after which a person wants to know how each host stands; of the others what was asked for says it."""
ALONE = ("deploy", "plan", "rollback")
"""Those of which this is news where there is one host."""
WELL = ("ok", "drift")
WORDS = {"drift": "would change", "back": "went back", "left": "not touched"}
COLOURS = {"ok": "green", "drift": "yellow", "left": "yellow", "back": "yellow"}
GRAVEST_FIRST = ("stranded", "failed", "unknown", "unreachable", "locked", "back", "left", "drift", "ok")
STATE_WIDTH = 12
HEADERS = ("host", "state", "serves", "changed/ok", "s", "why")
WHY, SECONDS, COUNTS = 5, 4, 3
WIDE = 110
LEAST_WHY = 24
LONGEST_NAME = 24
GAP = "  "


def of_one(result: Event, plan: Event | None) -> Line:
    """The only host of a run, which is well; with the switch that is planned there where all is only a plan."""
    words = [*_counts(result, plan), *_plan(plan)]
    if result["cutover"] is not None:
        words.append(f"{result['release']} serves, cutover {result['cutover']:.2f} s")
        words.append(f"before: {result['before'] or 'nothing'}")
    return line(f"{DOT.join(words) or 'done'}{DOT}{result['seconds']:.1f} s in all", "green")


def of_many(result: Event, plan: Event | None, room: int | None) -> Line:
    """One host of several, in one line however narrow the terminal is."""
    serves = [f"{_named(result, brief=_brief(room))} serves"] if result["cutover"] is not None else []
    words = [result["text"]] if result["text"] else [*_counts(result, plan), *_plan(plan), *serves]
    end = f"{DOT if words else ''}{result['seconds']:.1f} s"
    begin = padded(state(result), STATE_WIDTH) + GAP
    what = one_line(DOT.join(words))
    return line(begin + (fitted(what, max(room - cells(begin + end), 1)) if room else what) + end, _colour(result))


def table(results: Mapping[str, Event], width: int | None) -> Iterator[Line]:
    """All hosts of a run; on a terminal no wider than that, by leaving out what matters least."""
    rows = [HEADERS, *(_row(host, result, brief=_brief(width)) for host, result in results.items())]
    kept = _kept(rows, width)
    colours = ["", *map(_colour, results.values())]
    widths = {at: max(cells(row[at]) for row in rows) for at in kept}
    for row, colour in zip(rows, colours, strict=True):
        text = GAP.join(padded(row[at], widths[at]) for at in kept).rstrip()
        yield line(fitted(text, width) if width else text, colour)


def summary(finished: Event) -> Line:
    """All hosts in one line."""
    worst = next((each for each in GRAVEST_FIRST if each in finished["states"].values()), "ok")
    return line(f"{told(finished['states'])}{DOT}{finished['seconds']:.1f} s in all", COLOURS.get(worst, "red"))


def told(states: Mapping[str, str]) -> str:
    """How many hosts stand how."""
    found = Counter(states.values())
    words = [f"{found[each]} {WORDS.get(each, each)}" for each in reversed(GRAVEST_FIRST) if found[each]]
    return ", ".join(words) or "no host"


def state(result: Event) -> str:
    """How a host stands, in people's words."""
    return WORDS.get(result["state"], str(result["state"]))


def _counts(result: Event, plan: Event | None) -> list[str]:
    changed, ok = result["changed"], result["ok"]
    return [f"{changed} {'changed' if plan is None else 'would change'}, {ok} ok"] if changed or ok else []


def _plan(plan: Event | None) -> list[str]:
    return [f"would switch from {plan['before'] or 'nothing'} to {plan['release']}"] if plan else []


def _brief(width: int | None) -> bool:
    return width is not None and width < WIDE


def _named(result: Event, *, brief: bool) -> str:
    """The release that is known to serve, by its name or in brief by its digest."""
    release = str(result["release"])
    return release.rpartition("-")[2] if brief else release


def _row(host: str, result: Event, *, brief: bool) -> tuple[str, ...]:
    counts = f"{result['changed']}/{result['ok']}" if result["changed"] or result["ok"] else ""
    shown = _named(result, brief=brief)
    return (
        fitted(one_line(host), LONGEST_NAME),
        state(result),
        shown,
        counts,
        f"{result['seconds']:.1f}",
        one_line(result["text"]),
    )


def _kept(rows: list[tuple[str, ...]], width: int | None) -> list[int]:
    """The columns that have something to say and room for it."""
    kept = [at for at in range(len(HEADERS)) if any(row[at] for row in rows[1:])]
    for least in (SECONDS, COUNTS):
        widths = [min(max(cells(row[at]) for row in rows), LEAST_WHY if at == WHY else 1000) for at in kept]
        if width and sum(widths) + len(GAP) * (len(widths) - 1) > width and least in kept:
            kept.remove(least)
    return kept


def _colour(result: Event) -> str:
    return COLOURS.get(result["state"], "red")
