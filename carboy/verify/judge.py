"""Assertions whose failure reads as a finding: what is, what should be, and what to do next."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

SHOWN = 5
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800, "month": 2629800, "y": 31557600}


def same(found: Mapping[str, Any], wanted: Mapping[str, Any], of: str, then: str = "") -> None:
    """Fail unless everything wanted was found; each difference is named, and `then` says what to do."""
    differing = [name for name in wanted if found.get(name) != wanted[name]]
    lines = [f"{name} is {found.get(name, '(absent)')}, wanted {wanted[name]}" for name in differing]
    assert not lines, finding(f"{of}: {'; '.join(lines)}", then)


def none(found: Sequence[str], of: str, then: str = "") -> None:
    """Fail if anything was found; the first few are named."""
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    assert not found, finding(f"{of}: {', '.join(found[:SHOWN])}{more}", then)


def holds(condition: object, what: str, then: str = "") -> None:
    """Fail with these words unless the condition holds."""
    assert condition, finding(what, then)


def finding(what: str, then: str) -> str:
    """What is wrong, and on a line of its own what to do."""
    return f"{what}\nnext: {then}" if then else what


def seconds(text: str) -> float:
    """A time span as systemd writes it ("1min 30s"), in seconds; infinity where there is none."""
    if text == "infinity":
        return float("inf")
    return sum(float(number) * UNITS[unit] for number, unit in re.findall(r"([\d.]+)([a-z]+)", text))
