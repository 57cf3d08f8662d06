"""Variables given on the command line: `-e key=value`, `-e '{"key": "value"}'` and `-e @file.yml`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from carboy.errors import DeclarationError
from carboy.inventory.document import parse, read, scalar
from carboy.inventory.origin import Layer, Origin, Written
from carboy.inventory.yaml_source import variables

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def parse_extra(pairs: Sequence[str]) -> Layer:
    """The variables of all `-e` options; later ones win, and DeclarationError shows the form of a malformed one."""
    found: Layer = {}
    for pair in pairs:
        found |= _given(pair)
    return found


def _given(option: str) -> Layer:
    if option.startswith("@"):
        path = Path(option[1:])
        return variables(path, read(path))
    return _mapping(parse(option, "-e")) if option.startswith("{") else _pair(option)


def _mapping(data: Any) -> Layer:
    given = variables(None, data, "-e")
    return {name: Written(written.value, Origin(None, f"-e {name}")) for name, written in given.items()}


def _pair(pair: str) -> Layer:
    key, equals, value = pair.partition("=")
    if not equals or not _NAME.fullmatch(key):
        # The value is not shown: it may be a secret.
        raise DeclarationError(
            f"-e {key!r} sets no variable", hint="write -e key=value, a mapping in braces, or -e @file.yml"
        )
    found = _value(value, f"-e {key}")
    typed = None if isinstance(found, (str, list, dict)) else value
    return {key: Written(found, Origin(None, f"-e {key}", typed))}


def _value(text: str, name: str) -> Any:
    if text[:1] in ("[", "{", '"', "'") and not text.startswith("{{"):
        return parse(text, name)
    # Anything else is one scalar: "a: b" and "# x" are what was typed, not YAML's mapping and comment.
    return scalar(text, name) if text else ""
