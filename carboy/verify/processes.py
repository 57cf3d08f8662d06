"""Work on many hosts at once, a process for each: one that hangs or dies takes nothing from the others."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import Any

from carboy.errors import FailedError

Say = Callable[[Any], None]
Work = Callable[[Say], None]
ENDED = object()
"""The last word of each host."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)
PATIENCE_SECONDS = 10


class Processes:
    """The hosts of one piece of work, at most `forks` at a time; to be iterated as a context manager.

    Iterating yields each host's name with what it says, as it says it, and at its end `ENDED`. The context's end,
    also by an interrupt, ends those that are under way: as by Ctrl-C first, so that they can tidy up.
    """

    def __init__(self, work: Mapping[str, Work], forks: int, before: Callable[[], None]) -> None:
        self._left = deque(work.items())
        self._forks = forks
        self._before = before
        self._under_way: dict[Connection, tuple[str, ForkProcess]] = {}

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        processes = [process for _, process in self._under_way.values()]
        for process in processes:
            process.terminate()
        until = time.monotonic() + PATIENCE_SECONDS
        try:
            for process in processes:
                process.join(max(until - time.monotonic(), 0))
        finally:
            for process in processes:
                process.kill()

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        while self._left or self._under_way:
            while self._left and len(self._under_way) < self._forks:
                self._start(*self._left.popleft())
            for line in wait(list(self._under_way)):
                assert isinstance(line, Connection)
                yield from self._heard(line)

    def _start(self, name: str, work: Work) -> None:
        ours, theirs = get_context("fork").Pipe(duplex=False)
        process = get_context("fork").Process(target=_do, args=(work, theirs))
        self._before()
        # Until the child has its own handlers, an interrupt would be told by it as a fault.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        theirs.close()
        self._under_way[ours] = name, process

    def _heard(self, line: Connection) -> Iterator[tuple[str, Any]]:
        name, process = self._under_way[line]
        try:
            yield name, line.recv()
        except (EOFError, OSError):  # the latter from one that was killed in the middle of a word
            process.join()
            del self._under_way[line]
            line.close()
            if process.exitcode:
                yield name, _died(name, process.exitcode)
            yield name, ENDED


def _do(work: Work, line: Connection) -> None:
    """What a child does: an interrupt is for the parent, which passes it on as SIGTERM."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    # Whoever interrupts us, or is gone, wants to hear no more.
    with suppress(KeyboardInterrupt, BrokenPipeError):
        work(line.send)


def _died(name: str, code: int) -> FailedError:
    how = f"killed by signal {-code}" if code < 0 else f"exit {code}"
    return FailedError(f"the checks were cut short: {how}", where=f"host {name}", hint="verify again")
