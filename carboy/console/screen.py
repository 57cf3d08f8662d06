"""stderr, where people look, and stdout, where what was asked for goes: lines that stay, and a region that does not."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, TextIO

from carboy.console.text import folded, visible

if TYPE_CHECKING:
    from carboy.console.live import Live

CODES = {"green": 32, "yellow": 33, "red": 31}
DUMB = ("dumb", "unknown")


class Screen:
    """Lines above the live region, if stderr is a terminal that can have one."""

    def __init__(self, *, lively: bool) -> None:
        self.lively = lively and sys.stderr.isatty() and os.environ.get("TERM") not in DUMB
        self._live: Live | None = None

    @property
    def live(self) -> Live:
        """The live region; only for a screen that is lively."""
        if self._live is None:
            from carboy.console.live import Live  # here, because only a terminal has a use for rich

            self._live = Live()
        return self._live

    def lines(self, lines: Iterable[tuple[str, str]]) -> None:
        """Lines that stay, each with its colour; together, because the region is drawn anew below them."""
        width = columns()
        shown = [(folded(visible(text), width), colour) for text, colour in lines]
        if shown and self._live and self._live.shown:
            self._live.above(shown)
        elif shown:
            write(sys.stderr, "".join(painted(text, colour) + "\n" for text, colour in shown))

    def fact(self, text: str, *, final: bool = False) -> None:
        """A line of what was asked for; `final` where nothing else matters than that it is read."""
        self.stop()
        write(sys.stdout, text + "\n", final=final)

    def stop(self) -> None:
        """Take the region away until something is shown in it again."""
        if self._live:
            self._live.stop()


def write(stream: TextIO, text: str, *, final: bool = False) -> None:
    """Write at once; a stream that nobody reads, or that has no room, is given up, and the run goes on.

    With `final` there is nothing to go on for: raises `BrokenPipeError`.
    """
    try:
        stream.write(text)
        stream.flush()
    except OSError as problem:
        if final and isinstance(problem, BrokenPipeError):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if stream is not sys.stderr and not isinstance(problem, BrokenPipeError):
            write(sys.stderr, f"warning: nothing more can be written to {stream.name}: {problem}\n")


def columns() -> int | None:
    """How many columns a line of the terminal has; None where people's output goes elsewhere."""
    try:
        # A terminal that was never told its size says 0.
        return os.get_terminal_size(sys.stderr.fileno()).columns or None
    except (OSError, ValueError):
        return None


def painted(text: str, colour: str) -> str:
    """The text in a colour where stderr is a terminal that has them and nobody forbids them."""
    allowed = not os.environ.get("NO_COLOR") and os.environ.get("TERM") not in DUMB and sys.stderr.isatty()
    return f"\033[{CODES[colour]}m{text}\033[0m" if colour in CODES and allowed else text
