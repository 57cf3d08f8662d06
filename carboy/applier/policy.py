"""How a switch is judged, and what it leaves; apart, so that looking does not load what switching needs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Policy:
    """Seconds to watch a release that joined, the share of its answers that may be errors, healthy releases to keep.

    The last two are the path that a receipt asks for, and with how many clients at once.
    """

    watch: float = 3.0
    keep: int = 5
    max_errors: int = 10
    receipt_path: str = "/"
    receipt_clients: int = 4
