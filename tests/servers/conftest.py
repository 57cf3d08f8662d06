"""Lets the tests import what travels with the servers."""

from __future__ import annotations

import sys
from pathlib import Path

for folder in ("servers", "gunicorn"):
    sys.path.insert(0, str(Path(__file__).parents[2] / "templates" / folder))
