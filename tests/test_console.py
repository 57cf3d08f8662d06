"""Lines for people: as wide as their terminal, and unbroken where there is none."""

from __future__ import annotations

import os
import pty
import struct
import subprocess
import sys
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ

import pytest

from carboy.console import Console, folded

RECAP = "sandbox  2 changed, 10 ok · 20261122T154231Z-8b8fafda serves, cutover 0.43 s · before: nothing · 2.7 s in all"
SCRIPT = f"from carboy.console import Console; Console().line({RECAP!r})"


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_wide_line_is_broken_between_its_parts(width: int) -> None:
    """Each line fits, those after the first are indented, and nothing is lost."""
    lines = folded(RECAP, width).splitlines()
    assert len(lines) > 1 and max(map(len, lines)) <= width
    assert all(line.startswith("    ") for line in lines[1:])
    assert " · ".join(line.strip() for line in lines) == RECAP


@pytest.mark.parametrize("width", [len(RECAP), 200, None])
def test_a_line_that_fits_stays_one(width: int | None) -> None:
    """The widest line that fits is not broken, nor is any where there is no terminal."""
    assert folded(RECAP, width) == RECAP


def test_output_to_a_file_is_not_broken(capsys: pytest.CaptureFixture[str]) -> None:
    """What is not a terminal gets each line whole."""
    Console().line(RECAP)
    assert capsys.readouterr().err == RECAP + "\n"


def test_a_real_terminal() -> None:
    """On a terminal of 80 columns the recap takes two lines; on one that does not know its size, one."""
    assert [_shown(columns).splitlines()[0] == RECAP for columns in (80, 0)] == [False, True]


def _shown(columns: int) -> str:
    """What the line looks like on a terminal of so many columns."""
    ours, theirs = pty.openpty()
    ioctl(theirs, TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    subprocess.run([sys.executable, "-c", SCRIPT], cwd=Path(__file__).parents[1], stderr=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 65536)
    os.close(ours)
    return shown.decode().replace("\r\n", "\n")
