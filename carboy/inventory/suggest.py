"""Help for misspelt names."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache

SHORT = 12
"""So many known names are still listed in full."""

SIMILAR = 0.7
"""So alike, of 1, is a name worth suggesting; a common prefix alone does not make it that."""

NEARLY = 0.9
"""So alike, of 1, are a name and its misspelling: `guncorn_workers` is one, `api_port` is none of `app_port`."""


def did_you_mean(name: str, known: Collection[str]) -> str:
    """The nearest known name as a question, else the known names if they are few, else nothing."""
    import difflib  # Only errors need it, and every command waits for what is imported.

    near = difflib.get_close_matches(name, known, n=1, cutoff=SIMILAR)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known: {', '.join(known)}" if 0 < len(known) <= SHORT else ""


@cache
def misspelt(name: str, known: tuple[str, ...]) -> str | None:
    """The known name that this one is surely meant to be."""
    import difflib

    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=NEARLY)), None)
