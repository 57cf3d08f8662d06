"""Lets the tests import the modules that travel with gunicorn's configuration."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "templates" / "gunicorn"))
