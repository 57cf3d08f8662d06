"""Values of the inventory as Python types, strictly: what is not of the type wanted is refused, never guessed at."""

from __future__ import annotations

import math
import re
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Union, get_args, get_origin

from carboy.errors import DeclarationError
from carboy.inventory.sealed import Hidden, Sealed, Secret, Text
from carboy.secrets import Source

MAX_SHOWN = 60

_SECRET = re.compile(r"secret|passw|token|key|credential|auth|dsn|url", re.IGNORECASE)
_QUANTITY = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([A-Za-z]*)", re.ASCII)


class Mismatch(ValueError):
    """A value is not of the type wanted; `path` leads to it inside a list or mapping."""

    def __init__(self, expected: str, got: Any, *, path: str = "", hint: str = "") -> None:
        super().__init__(expected)
        self.expected = expected
        self.got = got
        self.path = path
        self.hint = hint


class Duration(float):
    """A time in seconds, written as a number of seconds or as 250ms, 5s, 2m, 1h or 1d."""

    UNITS: ClassVar[Mapping[str, float]] = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}

    @classmethod
    def parse(cls, value: Any) -> Duration:
        """The duration that a value of the inventory stands for; ValueError if it is none."""
        seconds = _quantity(value, cls.UNITS)
        if not (math.isfinite(seconds) and seconds >= 0):
            raise ValueError("not a length of time")
        return cls(seconds)


class Size(int):
    """A number of bytes, written as a number or as 64K, 512M, 1G or 2T, in steps of 1024."""

    UNITS: ClassVar[Mapping[str, float]] = {"K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}

    @classmethod
    def parse(cls, value: Any) -> Size:
        """The size that a value of the inventory stands for; ValueError if it is none."""
        size = _quantity(value, cls.UNITS)
        if not math.isfinite(size) or size < 0 or size != int(size):
            raise ValueError("not a number of bytes")
        return cls(size)


def _quantity(value: Any, units: Mapping[str, float]) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if not match or match[2] not in ("", *units):
        raise ValueError("not a number with a unit")
    number = float(match[1]) if "." in match[1] else int(match[1])
    return number * units.get(match[2], 1)


def convert(value: Any, kind: Any) -> Any:
    """The value as that type; Mismatch if it is of another, DeclarationError if settings cannot have that type."""
    value = value.text if isinstance(value, Sealed) and kind not in (Text, Source) else value
    if kind in _PLAIN:
        return _plain(value, kind)
    shape = get_origin(kind)
    if shape is Literal:
        return _one_of(value, kind)
    if shape in (Union, types.UnionType):
        return _either(value, kind)
    if shape in (tuple, dict):
        return _tuple(value, kind) if shape is tuple else _dict(value, kind)
    raise _unsupported(kind)


def expected(kind: Any) -> str:
    """What a type wants, in words."""
    if kind in _PLAIN:
        return _PLAIN[kind][0]
    arguments = get_args(kind)
    match get_origin(kind):
        case shape if shape is Literal:
            return f"one of {', '.join(map(repr, arguments))}"
        case shape if shape in (Union, types.UnionType):
            return " or ".join(expected(inner) for inner in arguments)
        case shape if shape in (tuple, dict):
            return (
                f"a list, each {expected(arguments[0])}" if shape is tuple else f"a mapping to {expected(arguments[1])}"
            )
    raise _unsupported(kind)


def shown(value: Any, name: str) -> str:
    """The value as an error may print it: short, and only its type if it is a secret or by its name could be one."""
    if value is None or isinstance(value, (bool, list, dict)):
        kinds = {list: "a list", dict: "a mapping", bool: f"the boolean {str(value).lower()}"}
        return kinds.get(type(value), "nothing (null)")
    kind = "text" if isinstance(value, (str, Sealed)) else type(value).__name__.removeprefix("Secret").lower()
    noun = f"the {kind}"
    return noun if _SECRET.search(name) or isinstance(value, (Hidden, Sealed)) else f"{noun} {repr(value)[:MAX_SHOWN]}"


def _unsupported(kind: Any) -> DeclarationError:
    return DeclarationError(
        f"settings cannot be of type {kind}", hint="use str, bool, int, float, Path, tuple, dict, ..."
    )


def _plain(value: Any, kind: Any) -> Any:
    words, converter = _PLAIN[kind]
    try:
        return converter(value)
    except (ValueError, OverflowError):
        raise Mismatch(words, value, hint=_hint(value, kind)) from None


def _hint(value: Any, kind: Any) -> str:
    if kind is bool and isinstance(value, str):
        return "write True or False in INI, and no quotes in YAML"
    # A boolean where text is wanted is nearly always a bare yes, no, on or off.
    return "quote it" if kind in (str, Text) and not isinstance(value, (list, dict)) else ""


def _one_of(value: Any, kind: Any) -> Any:
    # Compared with their types, because True == 1.
    for choice in get_args(kind):
        if choice == value and isinstance(choice, bool) is isinstance(value, bool):
            return choice
    raise Mismatch(expected(kind), value)


def _either(value: Any, kind: Any) -> Any:
    for inner in get_args(kind):
        try:
            return convert(value, inner)
        except Mismatch as error:
            nested = error
            if error.path:
                raise
    raise Mismatch(expected(kind), value, hint=nested.hint)


def _tuple(value: Any, kind: Any) -> tuple[Any, ...]:
    inner, *rest = get_args(kind)
    if rest != [...]:
        raise _unsupported(kind)
    if not isinstance(value, list):
        raise Mismatch(expected(kind), value, hint="write it as a list, even with one entry")
    return tuple(_inside(item, inner, f"[{index}]") for index, item in enumerate(value))


def _dict(value: Any, kind: Any) -> dict[str, Any]:
    inner = get_args(kind)[1]
    if not isinstance(value, dict):
        raise Mismatch(expected(kind), value)
    for key in value:
        if not isinstance(key, str):
            raise Mismatch("text as a key", key, hint="quote the key")
    return {str(key): _inside(_as_text(item, inner), inner, f".{key}") for key, item in value.items()}


def _as_text(value: Any, kind: Any) -> Any:
    # Environments are full of PORT: 8000; a bare yes or 3.10 stays an error, for the text that was meant is lost.
    if kind not in (str, Text) or not isinstance(value, int) or isinstance(value, bool):
        return value
    return Secret(value) if isinstance(value, Hidden) else str(value)


def _inside(value: Any, kind: Any, path: str) -> Any:
    try:
        return convert(value, kind)
    except Mismatch as error:
        raise Mismatch(error.expected, error.got, path=path + error.path, hint=error.hint) from None


def _of_type(*kinds: type) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if not isinstance(value, kinds) or isinstance(value, bool) is not (bool in kinds):
            raise ValueError("another type")
        # What is marked as secret stays so.
        return value if isinstance(value, Hidden) else kinds[0](value)

    return check


def _number(value: Any) -> float:
    number: float = _of_type(float, int)(value)
    if not math.isfinite(number):
        raise ValueError("not a number to count with")
    return number


def _path(value: Any) -> Path:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("not a path")
    return Path(value)


def _text(value: Any) -> Any:
    return value if isinstance(value, Sealed) else _of_type(str)(value)


def _nothing(value: Any) -> None:
    if value is not None:
        raise ValueError("not null")


_PLAIN: Mapping[Any, tuple[str, Callable[[Any], Any]]] = {
    str: ("text", _of_type(str)),
    Text: ("text", _text),
    Source: ("text, {env: VARIABLE} or {command: [...]}", Source.parse),
    bool: ("yes or no", _of_type(bool)),
    int: ("a whole number", _of_type(int)),
    float: ("a number", _number),
    Path: ("a path", _path),
    Duration: ("a duration such as 250ms, 30s, 2m or 1h", Duration.parse),
    Size: ("a size such as 64K, 512M or 1G", Size.parse),
    type(None): ("null", _nothing),
}
