"""YAML text becomes plain values, or one clear error with line and column."""

from __future__ import annotations

import time
import traceback
from pathlib import Path
from typing import Any

import pytest

from carboy.errors import DeclarationError
from carboy.inventory.document import Unsafe, Vaulted, parse, read, scalar


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# only a comment", None),
        ("a: [1, 2.5, yes, null, 0644, '0644', 1:30]", {"a": [1, 2.5, True, None, 420, "0644", 90]}),
        ("base: &b {x: 1, y: 1}\nweb: {<<: *b, y: 2}", {"base": {"x": 1, "y": 1}, "web": {"x": 1, "y": 2}}),
        (
            "a: &a {x: 1}\nb: &b {x: 2, z: 3}\nc: {<<: [*a, *b]}",
            {"a": {"x": 1}, "b": {"x": 2, "z": 3}, "c": {"x": 1, "z": 3}},
        ),
        ("a: &n [1, &m 2]\nb: *n\nc: *m", {"a": [1, 2], "b": [1, 2], "c": 2}),
        ("a: !unsafe '{{ x }}'", {"a": "{{ x }}"}),
        ("a: !!str 12", {"a": "12"}),
        ('{"a": 1e5, "b": "\\ud83d\\ude00",\t"c": null}', {"a": 100000.0, "b": "😀", "c": None}),
    ],
)
def test_values(text: str, value: Any) -> None:
    """YAML 1.1 and JSON give the values that Ansible gives them, merge keys and anchors included."""
    assert parse(text, "f.yml") == value


def test_tagged_values_are_told_apart() -> None:
    """Unsafe text keeps its braces, and a vaulted value is neither text nor shown."""
    value = parse("a: !unsafe '{{ x }}'\nb: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  3031\n", "f.yml")
    assert type(value["a"]) is Unsafe
    assert isinstance(value["b"], Vaulted)
    assert "3031" not in repr(value)


@pytest.mark.parametrize(
    ("text", "problem", "place"),
    [
        ("a:\n  b: c: d\n", "mapping values are not allowed", "line 2, column 7"),
        ("a: 1\nb: 2\na: 3\n", "duplicated key 'a'", "line 3, column 1"),
        ('{"a": 1, "a": 2}', "duplicated key 'a'", "line 1, column 10"),
        ("a: *b", "an alias refers to nothing", "line 1, column 4"),
        ("a: &a [*a]", "an alias refers to nothing that is complete", "line 1, column 8"),
        ("a: 1\n---\nb: 2", "second document", "line 2, column 1"),
        ("a: 2001-13-01", "not a valid timestamp", "line 1, column 4"),
        ("a: !!int x", "not a valid int", "line 1, column 4"),
        ("a: !!python/object:os.system x", "this tag is not supported", "line 1, column 4"),
        ("a: !custom {b: 1}", "this tag is not supported", "line 1, column 4"),
        ("? [a]\n: 1", "a list or mapping as a key", "line 1"),
        ("a: 0x" + "f" * 5000, "not a valid int", "line 1, column 4"),
        ("a: {<<: 5}", "<< takes a mapping", "line 1"),
        ("a: \x00", "not valid YAML", "f.yml"),
        ("a: [1", "not valid YAML", "f.yml, line"),
    ],
)
def test_refused_with_line_and_column(text: str, problem: str, place: str) -> None:
    """Each fault is named together with its line and its column."""
    with pytest.raises(DeclarationError) as caught:
        parse(text, "f.yml")
    assert problem in caught.value.what
    assert place in caught.value.where


@pytest.mark.parametrize(
    "line",
    [
        "password: [hunter2",
        "password: 'hunter2",
        "password: %hunter2: x",
        "password: !hunter2",
        "password: !hunter2!x y",
        "password: *hunter2",
        "password: @hunter2",
        "password: !!int hunter2",
        "password: hunter2: x",
        "password: {hunter2: 1}: x",
        "password:\thunter2\n\t- hunter2",
        'password: "\\hunter2"',
        "password: |hunter2",
        "password: hunter2\x01",
    ],
)
def test_no_error_shows_what_stands_in_a_line(line: str) -> None:
    """A line may hold a secret: neither the error nor the traceback of it shows any of its text."""
    with pytest.raises(DeclarationError) as caught:
        parse(f"user: me\n{line}\n", "f.yml")
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.where.startswith("f.yml")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "- " * 100_000 + "a",
        "{a: " * 60 + "1" + "}" * 60,
        '{"a":' * 60 + "1" + "}" * 60,
        '{"a":' * 5000 + "1" + "}" * 5000,
        "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 40)),
        "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 40)),
    ],
    ids=["deep flow", "deep block", "too deep", "deep json", "very deep json", "alias bomb", "merge bomb"],
)
def test_bombs_are_refused_at_once(text: str) -> None:
    """Text made to exhaust the reader neither crashes nor hangs it."""
    started = time.monotonic()
    with pytest.raises(DeclarationError):
        parse(text, "f.yml")
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"a: \xff", "not UTF-8"), (b"$ANSIBLE_VAULT;1.1;AES256\n3031", "no text of Ansible Vault")],
)
def test_unreadable_files(tmp_path: Path, content: bytes, problem: str) -> None:
    """A file that is no UTF-8, or a damaged vault, is refused by name."""
    path = tmp_path / "f.yml"
    path.write_bytes(content)
    with pytest.raises(DeclarationError, match=problem) as caught:
        read(path)
    assert caught.value.where == str(path)


@pytest.mark.parametrize("name", [".", "missing.yml"])
def test_files_that_cannot_be_opened(tmp_path: Path, name: str) -> None:
    """A folder or nothing in the place of a file is an error, not a traceback."""
    with pytest.raises(DeclarationError, match="cannot be read"):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("yes", True),
        ("1.5", 1.5),
        ("null", None),
        ("a: b", "a: b"),
        ("# x", "# x"),
        ("<<", "<<"),
        ("0644", 420),
    ],
)
def test_scalar(text: str, value: Any) -> None:
    """Text on its own is one scalar, whatever YAML would see in its punctuation."""
    assert scalar(text, "-e x") == value
