"""Variables of the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from carboy.errors import DeclarationError
from carboy.inventory import parse_extra


def values(*options: str) -> dict[str, Any]:
    """The variables that these options set."""
    return {name: written.value for name, written in parse_extra(options).items()}


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("k=5", 5),
        ("k=yes", True),
        ("k=text", "text"),
        ("k=", ""),
        ("k=a=b", "a=b"),
        ("k=a: b # c", "a: b # c"),
        ("k='5'", "5"),
        ("k=[1, a]", [1, "a"]),
        ("k={a: 1}", {"a": 1}),
        ("k={{ other }}", "{{ other }}"),
    ],
)
def test_values(pair: str, value: Any) -> None:
    """A value is one YAML scalar; quotes and brackets at its beginning make it a YAML value."""
    assert values(pair) == {"k": value}


def test_files_and_order(tmp_path: Path) -> None:
    """A file's variables count like options, and the last one wins."""
    (tmp_path / "f.yml").write_text("{a: file, b: file}")
    assert values("a=1", f"@{tmp_path}/f.yml", "b=2") == {"a": "file", "b": 2}


@pytest.mark.parametrize("option", ['{"a": 1, "b": [x]}', "{a: 1, b: [x]}", '{"a": 1, "b": ["x"]}'])
def test_a_mapping(option: str) -> None:
    """Several variables at once as JSON or YAML, as Ansible takes them."""
    assert values(option) == {"a": 1, "b": ["x"]}


def test_origins(tmp_path: Path) -> None:
    """An error can say which option or which file set a variable."""
    (tmp_path / "f.yml").write_text("c: 1")
    found = parse_extra(["a=1", "{b: 1}", f"@{tmp_path}/f.yml"])
    assert [str(found[name].origin) for name in "abc"] == ["-e a", "-e b", f"{tmp_path}/f.yml: c"]


@pytest.mark.parametrize(
    ("pair", "typed"),
    [("k=8001", "8001"), ("k=3.10", "3.10"), ("k=yes", "yes"), ("k=null", "null"), ("k=2001-01-02", "2001-01-02")],
)
def test_what_was_typed_is_kept(pair: str, typed: str) -> None:
    """Where YAML sees a number, a date or a truth value, the text is not lost."""
    assert parse_extra([pair])["k"].origin.typed == typed


@pytest.mark.parametrize("pair", ["k=text", "k='5'", "k={{ other }}", "k=[1]", "k={a: 1}", "k="])
def test_what_is_no_scalar_of_yaml_has_one_reading(pair: str) -> None:
    """Text, lists and mappings mean what they are read as, and nothing else."""
    assert parse_extra([pair])["k"].origin.typed is None


@pytest.mark.parametrize(
    "pair",
    [
        "{",
        "{a",
        "{a: 1",
        "{1: 2}",
        "{{ a }}=1",
        "novalue",
        "=5",
        "bad-name=5",
        "k=[1",
        "k='x",
        "k=2001-13-01",
        "@missing.yml",
        "@",
    ],
)
def test_malformed(pair: str) -> None:
    """What sets no variable is refused."""
    with pytest.raises(DeclarationError):
        parse_extra([pair])
