"""The catalog on its way: what the controller encodes the host decodes, whatever is in it."""

from __future__ import annotations

import json
from dataclasses import astuple
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carboy.applier.apply import decode
from carboy.applier.cutover import Cutover
from carboy.applier.directory import Directory
from carboy.applier.file import File
from carboy.applier.link import Link
from carboy.applier.package import Package
from carboy.applier.release import Release
from carboy.applier.resource import Blob, Resource
from carboy.applier.service import Service
from carboy.applier.switch import Policy
from carboy.applier.user import User
from carboy.applier.venv import Venv
from carboy.catalog import Content, digest, encode

BLOB = Blob("ab" * 32, 3)
RESOURCES: list[Resource] = [
    File("/a", BLOB, check="true {}", secret=True),
    Directory("/a"),
    Link("/a", "b"),
    Package(("a", "b")),
    User("a", "/b"),
    Service("a.service", files=("/x", "/y")),
    Venv("/v", BLOB),
    Release("a", "d", BLOB, Venv("/v", BLOB), {"x": ("0644", BLOB)}, {"health": "/", "deep": {"a": 1.5}}, ("a b", "c")),
    Cutover("a", "d", Policy(watch=0.5, keep=3)),
]
TEXT = st.text()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner).map(tuple) | st.dictionaries(TEXT.filter("is".__ne__), inner),
    max_leaves=20,
)


def travel(value: Any) -> Any:
    """The value as it arrives on a host."""
    return decode(json.loads(json.dumps(encode(value))))


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: type(resource).__name__)
def test_every_resource_arrives_as_it_was_declared(resource: Resource) -> None:
    """Class and fields survive, nested ones, defaults and tuples included."""
    assert travel(resource) == resource
    assert type(travel(resource)) is type(resource)


@settings(max_examples=80, deadline=None)
@given(JSON)
def test_any_plain_value_survives(value: Any) -> None:
    """Texts of any kind, numbers and nesting arrive unchanged."""
    assert travel(value) == value


@settings(max_examples=60, deadline=None)
@given(path=TEXT, mode=TEXT, size=st.integers(), secret=st.booleans())
def test_any_text_in_a_field_survives(path: str, mode: str, size: int, secret: bool) -> None:
    """Whatever an inventory puts into a field, quotes and control characters included."""
    declared = File(path, Blob("x", size), mode=mode, secret=secret)
    assert astuple(travel(declared)) == astuple(declared)


def test_bytes_do_not_travel_with_the_catalog() -> None:
    """A content is on the wire by digest and size alone."""
    wire = json.dumps(encode(File("/a", Content.of("password=hunter2"))))
    assert "hunter2" not in wire
    assert travel(File("/a", Content.of("abc"))).content == Blob(Content.of("abc").sha256, 3)


def test_the_digest_is_of_the_meaning() -> None:
    """Equal declarations have equal digests however they were built; each difference shows."""
    files = {"a": ("0644", BLOB), "b": ("0600", BLOB)}
    assert digest(BLOB, files) == digest(Blob(**vars(BLOB)), dict(reversed(files.items())))
    assert len({digest(BLOB), digest(Blob("cd", 3)), digest(BLOB, {}), digest(files)}) == 4
