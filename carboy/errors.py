"""Every error a person can meet: what happened, where, and what to do next. The class decides the exit code."""

from __future__ import annotations


class CarboyError(Exception):
    """Base of all errors shown to people as three lines; anything else that escapes is a bug of Carboy's."""

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        """The error as it is printed: up to three labelled lines."""
        lines = [f"error: {self.what}"]
        if self.where:
            lines.append(f"where: {self.where}")
        if self.hint:
            lines.append(f"next:  {self.hint}")
        return "\n".join(lines)


class FailedError(CarboyError):
    """The host reported a failure; what served before still serves."""

    exit_code = 1


class DeclarationError(CarboyError):
    """The inventory, a role, a template or an option is wrong; no host was contacted."""

    exit_code = 3


class UnreachableError(CarboyError):
    """The host could not be reached, or did not let us in."""

    exit_code = 4


class OutcomeUnknownError(UnreachableError):
    """The connection ended before the host said how the run ended."""


class LockedError(CarboyError):
    """Another run holds the app's lock on the host."""

    exit_code = 5


class StrandedError(CarboyError):
    """The change failed, and the way back failed too."""

    exit_code = 6
