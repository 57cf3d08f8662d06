"""Variables given on the command line: `-e key=value` and `-e @file.yml`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from carboy.errors import DeclarationError
from carboy.inventory.document import parse, read, scalar
from carboy.inventory.yaml_source import variables

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def parse_extra(pairs: Sequence[str]) -> dict[str, Any]:
    """The variables of all `-e` options; later ones win, and DeclarationError shows the form of a malformed one."""
    found: dict[str, Any] = {}
    for pair in pairs:
        found |= _file(Path(pair[1:])) if pair.startswith("@") else _pair(pair)
    return found


def _file(path: Path) -> dict[str, Any]:
    return {name: written.value for name, written in variables(path, read(path)).items()}


def _pair(pair: str) -> dict[str, Any]:
    key, equals, value = pair.partition("=")
    if not equals or not _NAME.fullmatch(key):
        # The value is not shown: it may be a secret.
        raise DeclarationError(f"-e {key!r} sets no variable", hint="write -e key=value or -e @file.yml")
    return {key: _value(value, f"-e {key}")}


def _value(text: str, name: str) -> Any:
    if text[:1] in ("[", "{", '"', "'") and not text.startswith("{{"):
        return parse(text, name)
    # Anything else is one scalar: "a: b" and "# x" are what was typed, not YAML's mapping and comment.
    return scalar(text, name) if text else ""
