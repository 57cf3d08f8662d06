"""Where this checkout is, whatever folder a command is typed in."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".carboy"
"""What commands leave here between runs; never in version control."""
