"""Every error a person can meet: what happened, where, and what to do next. The class decides the exit code."""

from __future__ import annotations

from pathlib import Path


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

    @property
    def event(self) -> dict[str, object]:
        """The error as an event."""
        facts = {"what": self.what, "where": self.where, "hint": self.hint, "exit": self.exit_code}
        return {"event": "error", **facts}


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


def fault(problem: Exception) -> FailedError:
    """What should never happen, as an error: where it was raised, but not its words, for they may hold a secret."""
    trace = problem.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    place = f"{Path(trace.tb_frame.f_code.co_filename).name}, line {trace.tb_lineno}" if trace else ""
    if isinstance(problem, OSError) and problem.strerror:
        what, hint = f"{problem.strerror}: {problem.filename or place}", "see what this machine lacks"
    else:
        what, hint = f"a fault in Carboy itself: {type(problem).__name__}", "please report it, with what --debug shows"
    error = FailedError(what, where=place, hint=hint)
    error.__cause__ = problem
    return error
