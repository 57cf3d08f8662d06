"""Holds events against the tables of docs/events.md, strictly: these tables are the schema."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "events.md"
Event = dict[str, Any]
Fields = dict[str, str]
HEADING = re.compile(r"^### (\w+)$")
ROW = re.compile(r"^\| `(\w+\??)` \| ([^|]+) \|")
TYPES: dict[str, Callable[[Any], bool]] = {
    "any": lambda _: True,
    "null": lambda value: value is None,
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "list": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


@cache
def schema() -> dict[str, Fields]:
    """The fields of each event with their types; the name of one that may be missing ends with `?`."""
    found: dict[str, Fields] = {}
    fields: Fields = {}
    for line in PAGE.read_text().splitlines():
        heading, row = HEADING.match(line), ROW.match(line)
        if heading:
            fields = found[heading[1]] = {}
        elif row:
            fields[row[1]] = row[2].strip()
    return found


def parsed(text: str) -> list[Event]:
    """The events of a command's stdout; AssertionError for the first line that is not one as documented."""
    events = []
    for line in text.splitlines():
        event = json.loads(line, parse_constant=_refuse)
        problems = list(wrong(event))
        assert not problems, f"{'; '.join(problems)}\n{line[:2000]}"
        events.append(event)
    return events


def wrong(event: Any) -> Iterator[str]:
    """What is not as documented."""
    name = event.get("event") if isinstance(event, dict) else None
    if name not in schema():
        yield f"docs/events.md knows no event {name!r}"
        return
    fields = {"event": "string", "t?": "number", **schema()[name]}
    known = {field.removesuffix("?"): kind for field, kind in fields.items()}
    yield from (f"{name} has an unknown field {field}" for field in event.keys() - known)
    yield from (f"{name} has no {field}" for field in fields.keys() - event.keys() if not field.endswith("?"))
    for field in known.keys() & event.keys():
        if not fits(event[field], known[field]):
            yield f"{name}.{field} is no {known[field]}"


def fits(value: Any, kind: str) -> bool:
    """Whether a value is of a type, as the page writes it."""
    if kind.startswith('"'):
        return value in re.findall(r'"([^"]+)"', kind)
    for prefix, whole in (("list of ", list), ("map of ", dict)):
        if kind.startswith(prefix):
            inner = value.values() if isinstance(value, dict) else value
            return isinstance(value, whole) and all(fits(each, kind.removeprefix(prefix)) for each in inner)
    return any(TYPES[each](value) for each in kind.split(" or "))


def _refuse(word: str) -> None:
    raise AssertionError(f"{word} is no JSON")
