"""The logs of a server: whole lines at the end of a file, through every rotation."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterable

LINE = "%(asctime)s [%(process)d] [%(levelname)s] %(message)s"
TIME = "[%Y-%m-%d %H:%M:%S %z]"

log = logging.getLogger("carboy")


class LogFile:
    """A log that whole lines are appended to, each by one write; `-` is a stream that is open already."""

    def __init__(self, path: str, stream: int) -> None:
        self.path = path
        self._fd = stream if path == "-" else self._open()

    def write(self, text: str) -> None:
        """Append a text; that a disk is full must not fail the request."""
        with contextlib.suppress(OSError):
            os.write(self._fd, text.encode("utf-8", "backslashreplace"))

    def writelines(self, lines: Iterable[str]) -> None:
        """Append several texts, as an app may do with its `wsgi.errors`."""
        self.write("".join(lines))

    def flush(self) -> None:
        """Do nothing: nothing is held back."""

    def reopen(self) -> None:
        """Go on in a new file, if the old one was renamed."""
        if self.path != "-":
            new = self._open()
            # In one step: a thread that is about to write has the one file or the other.
            os.dup2(new, self._fd, inheritable=False)
            os.close(new)

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)


class Logs:
    """The access log and the error log in a folder, or with `-` on stdout and stderr."""

    def __init__(self, folder: str, level: str) -> None:
        access, error = ("-", "-") if folder == "-" else (f"{folder}/access.log", f"{folder}/error.log")
        self.access = LogFile(access, sys.stdout.fileno())
        self.error = LogFile(error, sys.stderr.fileno())
        handler = logging.StreamHandler(self.error)
        handler.setFormatter(logging.Formatter(LINE, TIME))
        log.addHandler(handler)
        log.setLevel(level.upper())
        log.propagate = False

    def reopen(self) -> None:
        """Go on in new files after a rotation, or in the old ones: a log that cannot be opened ends no server."""
        for each in (self.error, self.access):
            try:
                each.reopen()
            except OSError as error:
                log.error("%s cannot be opened: %s; what is logged goes on in the old file", each.path, error.strerror)
