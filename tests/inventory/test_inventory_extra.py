"""Variables of the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from carboy.errors import DeclarationError
from carboy.inventory import parse_extra


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
    assert parse_extra([pair]) == {"k": value}


def test_files_and_order(tmp_path: Path) -> None:
    """A file's variables count like options, and the last one wins."""
    (tmp_path / "f.yml").write_text("{a: file, b: file}")
    assert parse_extra(["a=1", f"@{tmp_path}/f.yml", "b=2"]) == {"a": "file", "b": 2}


@pytest.mark.parametrize("pair", ["novalue", "=5", "bad-name=5", "k=[1", "k='x", "k=2001-13-01", "@missing.yml", "@"])
def test_malformed(pair: str) -> None:
    """What sets no variable is refused."""
    with pytest.raises(DeclarationError):
        parse_extra([pair])
