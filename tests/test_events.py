"""docs/events.md says what there is: every event that is said anywhere stands there, and the checker is strict."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carboy.console import Console, as_json
from tests.support.events import Event, fits, parsed, schema, wrong
from tests.test_console import WHO

ROOT = Path(__file__).parents[1]
SOURCES = [ROOT / "tasks.py", *sorted((ROOT / "carboy").rglob("*.py"))]
INTERNAL = {"want"}
GOOD: Event = {"host": "a", "event": "cutover", "t": 1.5, "release": "r", "before": None, "seconds": 2}


def said(path: Path) -> Iterator[tuple[str, set[str], bool]]:
    """Every event that a module says, the fields that are written there, and whether there are more."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("emit", "keep"):
            if node.args and isinstance(node.args[0], ast.Constant):
                names = {keyword.arg for keyword in node.keywords}
                yield str(node.args[0].value), {"host", *filter(None, names)}, None in names
        elif isinstance(node, ast.Dict) and "event" in (keys := _constants(node.keys)):
            name = node.values[keys.index("event")]
            if isinstance(name, ast.Constant):
                yield str(name.value), {"host", *filter(None, keys)} - {"event"}, None in keys


def _constants(keys: list[ast.expr | None]) -> list[str | None]:
    return [str(key.value) if isinstance(key, ast.Constant) else None for key in keys]


EVENTS = [(path, *each) for path in SOURCES for each in said(path) if each[0] not in INTERNAL]


def test_every_event_is_documented_and_no_other() -> None:
    """The page has a table for each event that the code can say, and none that it cannot."""
    assert {name for _, name, _, _ in EVENTS} == schema().keys()


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: f"{event[0].stem}-{event[1]}")
def test_fields_are_as_documented(event: tuple[Path, str, set[str], bool]) -> None:
    """Where an event is made it has the fields of its table: no other ones, and if none follow from elsewhere, all."""
    _, name, fields, more = event
    known = {field.removesuffix("?") for field in schema()[name]}
    needed = {field for field in schema()[name] if not field.endswith("?")}
    assert fields <= known and (more or needed <= fields)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"event": "cutovr"}, "knows no event 'cutovr'"),
        ({"release": None}, "cutover.release is no string"),
        ({"before": 3}, "cutover.before is no string or null"),
        ({"seconds": True}, "cutover.seconds is no number"),
        ({"host": None}, "cutover.host is no string"),
        ({"t": "1"}, "cutover.t is no number"),
        ({"extra": 1}, "cutover has an unknown field extra"),
    ],
)
def test_the_checker_is_strict(change: Event, problem: str) -> None:
    """Unknown events and fields and wrong types are named."""
    assert list(wrong(GOOD)) == []
    with pytest.raises(AssertionError, match=problem):
        parsed(json.dumps({**GOOD, **change}))


@pytest.mark.parametrize("line", ["3", "[]", "{}", "no json", '{"event": "progress", "host": "a", "text": NaN}'])
def test_what_is_no_event_is_refused(line: str) -> None:
    """A line of anything else fails."""
    with pytest.raises((AssertionError, ValueError)):
        parsed(line)


def test_a_missing_field_is_refused() -> None:
    """Each field of the table must be there, unless it is marked."""
    for field in GOOD.keys() - {"t"}:
        assert list(wrong({name: value for name, value in GOOD.items() if name != field}))
    assert list(wrong({name: value for name, value in GOOD.items() if name != "t"})) == []


@pytest.mark.parametrize(
    ("value", "kind", "good"),
    [
        (["a"], "list of string", True),
        (["a", 1], "list of string", False),
        ({"a": [1, None]}, "map of list", True),
        ({"a": 1}, "map of list", False),
        ([], "map of any", False),
        ("ok", '"ok", "failed"', True),
        ("okay", '"ok", "failed"', False),
        (1.5, "integer", False),
        (False, "integer", False),
    ],
)
def test_types(value: object, kind: str, good: bool) -> None:
    """Types are read as the page explains them."""
    assert fits(value, kind) is good


SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    "boolean": st.booleans(),
    "integer": st.integers(0, 2**31),
    "number": st.floats(0, 1e6),
    "null": st.none(),
    "any": st.one_of(st.none(), st.text(max_size=5), st.integers()),
    "list": st.tuples(st.text(max_size=5), st.none()).map(list),
    "object": st.fixed_dictionaries({"p50": st.none(), "p99": st.none() | st.floats(0, 100)}),
}


def values(kind: str) -> st.SearchStrategy[Any]:
    """Values of a type of the page."""
    if kind.startswith('"'):
        return st.sampled_from(kind.strip('"').split('", "'))
    if kind.startswith("list of "):
        return st.lists(values(kind.removeprefix("list of ")), max_size=3)
    if kind.startswith("map of "):
        return st.dictionaries(SCALARS["string"], values(kind.removeprefix("map of ")), max_size=3)
    return st.one_of(*(SCALARS[each] for each in kind.split(" or ")))


def events() -> st.SearchStrategy[Event]:
    """Any event that the page allows."""
    return st.sampled_from(sorted(schema())).flatmap(_events)


def _events(name: str) -> st.SearchStrategy[Event]:
    fields = schema()[name]
    needed = {field: values(kind) for field, kind in fields.items() if not field.endswith("?")}
    optional = {field[:-1]: values(kind) for field, kind in fields.items() if field.endswith("?")}
    # Of a process or of pods: one of them is there.
    needed |= {"pid": optional.pop("pid"), "pods": optional.pop("pods")} if name == "serving" else {}
    return st.fixed_dictionaries({"event": st.just(name), **needed}, optional=optional)


@given(event=events(), many=st.booleans(), check=st.booleans(), verb=st.sampled_from(["deploy", "plan", "status"]))
def test_people_get_words_for_every_event(event: Event, many: bool, check: bool, verb: str) -> None:
    """Whatever the page allows can be shown, and is not taken for something that cannot be understood."""
    lines: list[str] = []
    console = Console(check=check)
    console._screen.lines = lambda said: lines.extend(text for text, _ in said)  # type: ignore[method-assign,assignment]
    console._screen.fact = lambda text, **_: lines.append(text)  # type: ignore[method-assign,misc]
    console.event(None, {"event": "started", "verb": verb, "inventory": [], "hosts": ["a", "b"][: many + 1], **WHO})
    host = event.pop("host")
    console.event(host and "a", event)
    assert not [line for line in lines if f'? {{"event": "{event["event"]}"' in line]


@given(event=events())
def test_programs_get_every_event_as_it_is(event: Event) -> None:
    """What the page allows arrives unchanged, on one line."""
    host = event.pop("host")
    assert parsed(as_json(host, event)) == [{"host": host, **event}]
