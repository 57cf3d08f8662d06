"""The last lines of a terminal: what each host that is under way is doing, and for how long."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from rich.console import Console, ConsoleOptions
from rich.live import Live as Region
from rich.text import Text

from carboy.console.text import cells, fitted, one_line, padded

REFRESHED_PER_SECOND = 4
# The cursor has a line of its own, and one line above should stay in sight.
KEPT_LINES = 2


class Live:
    """A region that is drawn anew, in a thread of its own, until it is stopped."""

    def __init__(self) -> None:
        self.order: Sequence[str] = ()
        self.footer = ""
        self._doing: dict[str, tuple[str, float]] = {}
        self._rich = Console(stderr=True)
        self._region: Region | None = None

    @property
    def shown(self) -> bool:
        """Whether it is on the screen."""
        return self._region is not None

    def show(self, host: str, text: str) -> None:
        """Say what a host is doing, from now on."""
        self._doing[host] = (one_line(text), time.monotonic())
        if self._region is None:
            # A new one each time: one that was stopped would take the lines above it for its own.
            self._region = self._made()
            self._region.start(refresh=True)

    def drop(self, host: str) -> None:
        """A host does nothing any more."""
        self._doing.pop(host, None)

    def above(self, lines: Sequence[tuple[str, str]]) -> None:
        """Lines that stay, each with its colour."""
        self._rich.print(Text("\n").join(Text(text, style=colour) for text, colour in lines), soft_wrap=True)

    def stop(self) -> None:
        """Take it off the screen."""
        if self._region:
            self._region.stop()
        self._region = None

    def _made(self) -> Region:
        return Region(
            self,
            console=self._rich,
            transient=True,
            refresh_per_second=REFRESHED_PER_SECOND,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Draw it, as rich asks."""
        for line in self.lines(options.max_width, console.height - KEPT_LINES):
            yield Text(line, no_wrap=True, overflow="crop", end="\n")

    def lines(self, width: int, height: int) -> list[str]:
        """As many lines as there is room for: hosts in their order, how many more there are, and the footer."""
        # A copy, because this is another thread than the one that says what is done.
        doing = dict(self._doing)
        known = [host for host in self.order if host in doing]
        hosts = [*known, *(host for host in doing if host not in self.order)]
        room = max(height - bool(self.footer), 1)
        shown = hosts if len(hosts) <= room else hosts[: room - 1]
        names = {host: fitted(one_line(host), width // 3) for host in shown}
        longest = max(map(cells, names.values()), default=0)
        lines = [_line(padded(names[host], longest), *doing[host], width) for host in shown]
        more = [f"... and {len(hosts) - len(shown)} more"] if len(hosts) > len(shown) else []
        return [*lines, *more, *filter(None, [fitted(self.footer, width)])]


def _line(name: str, text: str, since: float, width: int) -> str:
    seconds = int(time.monotonic() - since)
    begin, end = f"{name}  ", f" {seconds // 60:2}:{seconds % 60:02}"
    room = max(width - cells(begin) - len(end), 1)
    return begin + padded(fitted(text, room), room) + end
