"""Work on many hosts at once: a thread for each that is under way, and one place where all that they say is heard."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Generic, TypeVar

Event = dict[str, Any]
Sink = Callable[[Event], None]
T = TypeVar("T")
PAUSE_SECONDS = 0.2


class Crew(Generic[T]):
    """The hosts of one piece of work; iterating begins it, and yields each host's result as soon as it is there.

    At most `forks` hosts are under way at a time, in their order. What they say meanwhile goes to `hear`, in the
    thread that iterates, one event after the other. An exception of the work is raised there too.
    """

    def __init__(self, work: Mapping[str, Callable[[Sink], T]], hear: Callable[[str, Event], None], forks: int) -> None:
        self._left = deque(work.items())
        self._hear = hear
        self._forks = forks
        self._expected = len(work)
        # Each entry tells of a host: an event that it said, how its work ended, or what went wrong with that.
        self._said: SimpleQueue[Callable[[], T | None]] = SimpleQueue()

    def __iter__(self) -> Iterator[T]:
        """Begin, and yield the results in the order in which the hosts end."""
        for _ in range(min(self._forks, self._expected)):
            # None that is waited for at the end of the program: a person who interrupts it has waited enough.
            Thread(target=self._labour, daemon=True).start()
        try:
            while self._expected:
                result = self._next()()
                if result is not None:
                    self._expected -= 1
                    yield result
        finally:
            self.stop()

    def stop(self) -> list[str]:
        """Begin with no further host; returns those that are left."""
        left: list[str] = []
        with suppress(IndexError):
            while True:
                left.append(self._left.popleft()[0])
        self._expected -= len(left)
        return left

    def _next(self) -> Callable[[], T | None]:
        while True:
            # Not without end: an interrupt in the moment before a thread begins to wait does not end its waiting.
            with suppress(Empty):
                return self._said.get(timeout=PAUSE_SECONDS)

    def _labour(self) -> None:
        with suppress(IndexError):
            while True:
                self._do(*self._left.popleft())

    def _do(self, host: str, work: Callable[[Sink], T]) -> None:
        try:
            result = work(lambda event: self._said.put(lambda: self._hear(host, event)))
            self._said.put(lambda: result)
        except BaseException as problem:  # whatever it is, it belongs to the thread that waits
            self._said.put(_raiser(problem))


def _raiser(problem: BaseException) -> Callable[[], Any]:
    def fail() -> Any:
        raise problem

    return fail
