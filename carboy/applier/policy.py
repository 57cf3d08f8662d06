"""How a switch is judged, and what it leaves; apart, so that looking does not load what switching needs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Policy:
    """Seconds to watch the public socket after a switch, and the number of healthy releases to keep."""

    watch: float = 3.0
    keep: int = 5
