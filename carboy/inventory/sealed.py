"""Values that nobody may see: closed until somebody needs them, and marked once they are open."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

HIDDEN = "(secret)"


class Hidden:
    """What every opened secret is: no error that shows what it got, and no dataclass that holds one, tells it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return HIDDEN


class Secret(Hidden, str):
    """Text that came out of something encrypted."""

    __slots__ = ()


class SecretInt(Hidden, int):
    """A whole number of an encrypted file."""

    __slots__ = ()
    # Without it `str` would ask `repr`.
    __str__ = int.__repr__


class SecretFloat(Hidden, float):
    """Another number of an encrypted file."""

    __slots__ = ()
    __str__ = float.__repr__


class Sealed:
    """Text that is worked out when it is needed, and known to be secret before: a verb without need never asks."""

    def __init__(self, work_out: Callable[[], str]) -> None:
        self._work_out = work_out

    def __repr__(self) -> str:
        return "(sealed)"

    @cached_property
    def text(self) -> Secret:
        """The text; DeclarationError if it cannot be had."""
        return Secret(self._work_out())


Text = str | Sealed
"""Text of a setting that may stay closed until it is used."""


def opened(value: Any) -> Any:
    """The value with all that is sealed in it opened."""
    if isinstance(value, Sealed):
        return value.text
    if isinstance(value, dict):
        return {key: opened(inner) for key, inner in value.items()}
    return [opened(inner) for inner in value] if isinstance(value, list) else value


def hidden(value: Any) -> Any:
    """The value with every text and number in it marked; names of variables are no secrets."""
    if isinstance(value, dict):
        return {key: hidden(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [hidden(inner) for inner in value]
    # By the very type: truth is no secret, and a text that is to mean itself goes on to do so.
    kind = {str: Secret, int: SecretInt, float: SecretFloat}.get(type(value))
    return kind(value) if kind else value
