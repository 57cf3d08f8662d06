"""What happens on a host, as lines for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from carboy.console.text import padded, short, visible
from carboy.errors import CarboyError

Event = dict[str, Any]
COLOURS = {"changed": "yellow", "failed": "red", "would change": "yellow", "ok": "green", "skipped": "yellow"}
DIFF_COLOURS = {"+": "green", "-": "red", "~": "yellow"}
TITLE_WIDTH, NARROWEST, STATUS_WIDTH = 44, 20, 13
CHECK_WIDTH = 77
MESSAGE_INDENT = "\n       "


Line = tuple[str, str, bool]
"""A text, its colour, and whether it tells more of the line above: of a single host that needs no name."""


class Look:
    """How much room there is for a line, None for no end, and whether all is only a plan."""

    def __init__(self, room: int | None, *, check: bool) -> None:
        self.room, self.check = room, check


def line(text: str, colour: str = "", *, more: bool = False) -> Line:
    """A line of words."""
    return text, colour, more


def progress(event: Event, look: Look) -> Iterator[Line]:  # noqa: ARG001 - here and below, all have this form
    """What a host does now."""
    yield line(event["text"])


def hook(event: Event, look: Look) -> Iterator[Line]:  # noqa: ARG001
    """What a hook said."""
    yield from (line(f"| {each}") for each in event["said"].splitlines())
    yield line(f"{event['moment']} done in {event['seconds']:.1f} s")


def attention(event: Event, look: Look) -> Iterator[Line]:  # noqa: ARG001
    """Something that is not as a person might expect."""
    yield line(event["text"], "yellow")


def warning(event: Event, look: Look) -> Iterator[Line]:  # noqa: ARG001
    """Something that is done all the same."""
    yield line(f"warning: {event['text']}", "yellow")


def resource(event: Event, look: Look) -> Iterator[Line]:
    """A resource that is not as declared, or was not."""
    status = event["status"]
    if status == "ok":
        return
    word = "would change" if look.check and status == "changed" else status
    width = TITLE_WIDTH if look.room is None else max(min(TITLE_WIDTH, look.room - STATUS_WIDTH), NARROWEST)
    yield line(f"{padded(visible(event['resource']), width)} {word}", COLOURS[status])
    if look.check:
        for key, (current, desired) in event.get("drift", {}).items():
            yield line(f"    {key}: {short(current)} -> {short(desired)}", more=True)
    yield from diff(event, look)


def diff(event: Event, look: Look) -> Iterator[Line]:  # noqa: ARG001
    """A change of text."""
    for each in event.get("diff", "").splitlines():
        yield line(f"    {each}", DIFF_COLOURS.get(each[:1], ""), more=True)


def receipt(event: Event, look: Look) -> Iterator[Line]:  # noqa: ARG001
    """What the app answered throughout a switch."""
    times = ", ".join(f"{name} {seen['p99']:.0f} ms" for name, seen in event["phases"].items() if seen["p99"])
    what = f"receipt: {event['requests']} requests, {event['failed']} failed"
    yield line(f"{what} · p99 {times or 'unknown: no answer'}", "red" if event["failed"] else "green")


def failed(event: Event, look: Look) -> Iterator[Line]:
    """Why a host failed, with what it knows of that."""
    yield from (line(f"| {each}") for each in event["details"].splitlines())
    # A line of a host's words must not look like one of ours.
    what, hint = (MESSAGE_INDENT.join(event[key].splitlines()) for key in ("what", "hint"))
    yield from error({"what": what, "where": f"host {event['host']}", "hint": hint}, look)


def error(event: Event, look: Look) -> Iterator[Line]:  # noqa: ARG001
    """An error in its three lines."""
    text = str(CarboyError(event["what"], where=event["where"], hint=event["hint"]))
    yield from (line(each, "red", more=True) for each in text.split("\n"))


def check(event: Event, look: Look) -> Iterator[Line]:
    """One check of verify."""
    import textwrap  # here, because no other verb has a use for it

    title = " · ".join([event["title"], *(f"{name} {value}" for name, value in event["facts"].items())])
    begin, end = f"{event['outcome']:<7}  {event['subject']:<9} ", f" {event['seconds']:6.2f} s"
    room = CHECK_WIDTH if look.room is None else min(CHECK_WIDTH, max(look.room - len(begin + end), NARROWEST))
    first, *rest = textwrap.wrap(title, room) if look.room else [title]
    yield line(begin + padded(first, room) + end, COLOURS[event["outcome"]])
    yield from (line(" " * len(begin) + each, COLOURS[event["outcome"]]) for each in rest)
    yield from (line(f"| {each}") for each in event["message"].splitlines())


def saved(event: Event, look: Look) -> Iterator[Line]:  # noqa: ARG001
    """A plan that is kept."""
    yield line(f"kept in {event['file']}: to apply it, invoke deploy --plan {event['file']}")


def verified(event: Event, look: Look) -> Iterator[Line]:  # noqa: ARG001
    """What the checks of a host add up to."""
    counts = [f"{event[outcome]} {outcome}" for outcome in ("ok", "failed", "skipped") if event[outcome]]
    well = event["ok"] and not event["failed"]
    words = ", ".join(counts) or "nothing checked"
    yield line(f"{words} · {event['seconds']:.1f} s in all", "green" if well else "red")


SAID: dict[str, Callable[[Event, Look], Iterator[Line]]] = {
    "progress": progress,
    "hook": hook,
    "skipped": attention,
    "unconfirmed": attention,
    "warning": warning,
    "resource": resource,
    "plan": diff,
    "receipt": receipt,
    "failed": failed,
    "error": error,
    "check": check,
    "verified": verified,
    "saved": saved,
}
