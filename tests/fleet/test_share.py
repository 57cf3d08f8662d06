"""Numbers and percentages of hosts."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carboy.fleet.share import Share


@pytest.mark.parametrize(
    ("written", "hosts", "number"),
    [(0, 9, 0), (3, 9, 3), ("3", 9, 3), ("25%", 9, 2), ("25 %", 4, 1), ("100%", 7, 7), ("0%", 7, 0), (50, 7, 50)],
)
def test_shares(written: int | str, hosts: int, number: int) -> None:
    """A number is itself, whatever there is; a percentage is rounded down."""
    assert Share(written).of(hosts) == number


@pytest.mark.parametrize("written", [-1, "-1", "", "%", "101%", "1.5", "25%%", " 3", "3 hosts", True, "٣", "1e3", 1.5])
def test_what_is_no_share(written: object) -> None:
    """Anything else is refused, and the error shows what would do."""
    with pytest.raises(ValueError, match="25%"):
        Share(written)  # type: ignore[arg-type]


@given(st.text(max_size=12))
def test_any_text(text: str) -> None:
    """Text is a share or a ValueError, never anything else."""
    with suppress(ValueError):
        assert Share(text).of(100) >= 0
