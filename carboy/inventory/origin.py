"""Where a variable was written, so that every complaint about it can say so."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Origin:
    """A file and the dotted path of keys in it; without a file, the option that set the variable."""

    file: Path | None
    key_path: str
    # Not in the repr: it may be a secret.
    typed: str | None = field(default=None, repr=False)
    """What stood on the command line, where YAML makes something else than text of it."""

    def __str__(self) -> str:
        """The origin as errors print it."""
        return f"{self.file}: {self.key_path}" if self.file else self.key_path


class Written(NamedTuple):
    """A value together with where it was written."""

    value: Any
    origin: Origin


Layer = dict[str, Written]
"""Variables of one level of precedence; a later layer replaces what an earlier one says."""
