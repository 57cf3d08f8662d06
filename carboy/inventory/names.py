"""What may be the name of a group, a host or a variable, in whatever format an inventory is written."""

from __future__ import annotations

from typing import Any

from carboy.errors import DeclarationError
from carboy.inventory.origin import Origin
from carboy.inventory.ranges import expand

_NEVER = set(" ,\"'{}\\")


def group_name(name: Any) -> str:
    """The name of a group; ValueError if it can be none."""
    if isinstance(name, str) and name.isprintable() and name and not set(name) & _NEVER:
        return name
    raise ValueError(f"{name!r} is no name of a host or group: use text without spaces, commas, quotes and braces")


def host_names(pattern: Any) -> tuple[list[str], int | None]:
    """The hosts that a pattern stands for, and the port it names; ValueError says what is wrong with it."""
    names = group_name(pattern)
    try:
        return expand(names)
    except ValueError as error:
        raise ValueError(f"host {pattern!r}: {error}") from error


def variable_name(name: Any, origin: Origin) -> str:
    """The name of a variable; DeclarationError if it can be none."""
    if not isinstance(name, str) or not name.isprintable() or not name:
        raise DeclarationError(f"{name!r} is no name of a variable", where=str(origin).rstrip(": "), hint="quote it")
    return name
