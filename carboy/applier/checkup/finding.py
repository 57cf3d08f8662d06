"""What one look at a host finds."""

from __future__ import annotations

from typing import NamedTuple


class Finding(NamedTuple):
    """Whether something is well, and if not what to do."""

    state: str
    text: str
    hint: str = ""


OK, WARNING, FAILED = "ok", "warning", "failed"


def well(text: str) -> Finding:
    """All is well."""
    return Finding(OK, text)
