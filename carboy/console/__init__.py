"""What people see on stderr, and what programs read on stdout."""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from threading import RLock
from types import TracebackType
from typing import TYPE_CHECKING, Any

from carboy.console.screen import Screen, columns, painted, write
from carboy.console.text import folded
from carboy.errors import CarboyError

if TYPE_CHECKING:
    from carboy.console.people import People

__all__ = ["Console", "Event", "columns", "folded", "painted"]
Event = dict[str, Any]


class Console:
    """Events of all hosts, from one thread: as lines for people by default, as NDJSON on stdout with `machine`."""

    def __init__(self, *, machine: bool = False, check: bool = False) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            # No host's words can be such that they cannot be written.
            sys.stdout.reconfigure(errors="backslashreplace")
        self.machine = machine
        self.began = time.monotonic()
        self._screen = Screen(lively=not machine)
        self._check = check
        # Questions come from the threads that go to hosts.
        self._terminal = RLock()

    def __enter__(self) -> Console:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.still()

    @cached_property
    def _people(self) -> People:
        from carboy.console.people import People  # here, because programs get no words

        return People(self._screen, check=self._check)

    @property
    def lively(self) -> bool:
        """Whether there is a live region to say in what goes on."""
        return self._screen.lively

    def event(self, host: str | None, event: Event) -> None:
        """Show one event of a host, or of the run; that nobody reads any more ends only logs."""
        if self.machine:
            write(sys.stdout, as_json(host, event) + "\n", final=event["event"] == "log")
        else:
            with self._terminal:
                self._people.show(host, event)

    def waiting(self, host: str, text: str) -> None:
        """Say what is being waited for where that can be taken back; it is not worth a line that stays."""
        if not self.machine:
            with self._terminal:
                self._people.doing(host, text)

    def agreed(self, question: str) -> bool:
        """Ask a person; where there is none to ask the answer is no."""
        if self.machine or not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        self.still()
        self.line(f"{question} [y/N]")
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def line(self, text: str, colour: str = "") -> None:
        """A line for people, whoever reads the events."""
        with self._terminal:
            self._screen.lines([(text, colour)])

    def error(self, host: str | None, error: CarboyError) -> None:
        """An error in its three lines, or as an event."""
        self.event(host, error.event)

    def still(self) -> None:
        """Show nothing that moves, until the next event: somebody else wants the terminal, or a process its copy."""
        # While a person is asked nothing moves anyway, and to wait for the answer would keep an interrupt from its end.
        if self._terminal.acquire(blocking=False):
            with self._terminal:
                self._screen.stop()
            self._terminal.release()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Show nothing at all while somebody else, of any thread, asks a person; what happens meanwhile comes after."""
        with self._terminal:
            self._screen.stop()
            yield


def as_json(host: str | None, event: Event) -> str:
    """An event as a line of strict JSON: ASCII, of the host that it came from, whatever it says itself."""
    whole = {"host": host, **event} | {"host": host}
    try:
        return json.dumps(whole, allow_nan=False)
    except ValueError:
        # What Python writes for a number that is none is no JSON.
        return json.dumps(json.loads(json.dumps(whole), parse_constant=str))
