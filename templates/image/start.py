"""First in the container: puts what is secret into the environment, from a file, and becomes the command.

What an engine is told of an environment it shows to everybody who may ask it. A file that is mounted it does not.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

FILE = Path("/run/secrets/environment")
LINE = re.compile(r'^([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"$', re.MULTILINE | re.DOTALL)


def variables(text: str) -> dict[str, str]:
    """The lines NAME="value" of a file that systemd would read alike."""
    return {name: re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL) for name, value in LINE.findall(text)}


if __name__ == "__main__":
    if FILE.exists():
        os.environ.update(variables(FILE.read_text(encoding="utf-8")))
    os.execvp(sys.argv[1], sys.argv[1:])
