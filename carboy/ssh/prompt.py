"""Asks the person at the terminal for a passphrase, whatever else is drawn there, and leaves the terminal as it was."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress

TERMINAL = "/dev/tty"

aside: Callable[[], AbstractContextManager[object]] = nullcontext
"""Keeps others off the terminal while a person is asked; who draws there puts its own in its place."""
# A fork has the terminal too, and the person could not tell which of many asks.
_asker = os.getpid()


def ask(question: str) -> str:
    """The answer, which is not shown; raises EOFError where there is none."""
    from getpass import getpass  # here, because few are asked

    with aside(), _restored():
        return getpass(question)


def possible() -> bool:
    """Whether this process has a terminal to ask at."""
    try:
        os.close(_terminal())
    except OSError:
        return False
    return os.getpid() == _asker


def _terminal() -> int:
    return os.open(TERMINAL, os.O_RDWR | os.O_NOCTTY)


@contextmanager
def _restored() -> Iterator[None]:
    """Bring the echo back also at the end of the process, which does not wait for the thread that asks."""
    import atexit
    import termios

    terminal = _terminal()
    before = termios.tcgetattr(terminal)

    def restore() -> None:
        with suppress(termios.error):
            termios.tcsetattr(terminal, termios.TCSANOW, before)

    atexit.register(restore)
    try:
        yield
    finally:
        atexit.unregister(restore)
        os.close(terminal)
