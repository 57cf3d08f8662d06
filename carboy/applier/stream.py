"""The two ways of the one channel: events go out as lines of JSON, bytes come in as frames."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import select
import signal
import sys
import time
from functools import partial
from typing import IO, Any, BinaryIO, Callable, ContextManager, List, Optional

from carboy.applier.resource import Failure, Need

MARKER = "carboy-events"
CHUNK = 1 << 20
STALLED_SECONDS = 10.0
SILENT_SECONDS = 25


class Disconnected(Exception):
    """The controller went away while the host still needed something from it."""


class Stream:
    """The channel to the controller; once it is gone, events still reach the run file."""

    def __init__(self, reader: BinaryIO, descriptor: int) -> None:
        self.reader = reader
        self.descriptor: Optional[int] = descriptor
        self.record: Optional[IO[str]] = None
        self.started = time.monotonic()

    def open(self) -> None:
        """Say where the events begin, after whatever a login shell printed before."""
        self.send("\n" + MARKER + "\n")

    def emit(self, event: str, **fields: Any) -> None:
        """Send one event, and write it to the run file if there is one."""
        self.send(self.keep(event, **fields))

    def keep(self, event: str, **fields: Any) -> str:
        """Write one event to the run file if there is one; returns what is to be sent."""
        line = json.dumps({"event": event, "t": round(time.monotonic() - self.started, 3), **fields}) + "\n"
        if self.record:
            # A full disk must not end the run, nor hide from the controller how it ends.
            with contextlib.suppress(OSError):
                os.write(self.record.fileno(), line.encode())
        return line

    def fetch(self, needs: List[Need], store: Callable[[Need], ContextManager[BinaryIO]]) -> None:
        """Ask for all `needs` at once and write each answer to the file that `store` opens for it."""
        self.emit("want", needs=needs)
        for need in needs:
            with store(need) as target:
                self._receive(need, target)

    def pause(self, seconds: float) -> None:
        """Wait; whoever goes away meanwhile does not want the run any more, unless it is on its own already."""
        if self.record:
            time.sleep(seconds)
        # Nothing is sent unasked, so what can be read is the end.
        elif select.select([self.reader], [], [], seconds)[0]:
            raise Disconnected()

    def _receive(self, need: Need, target: BinaryIO) -> None:
        length = b"\n"
        while length == b"\n":
            # So a controller says that it is still busy with the answer.
            length = self._heard(self.reader.readline)
        digest, left = hashlib.sha256(), int(length)
        while left:
            chunk = self._heard(partial(self.reader.read1, min(left, CHUNK)))  # type: ignore[attr-defined]
            digest.update(chunk)
            target.write(chunk)
            left -= len(chunk)
        if need.get("blob", digest.hexdigest()) != digest.hexdigest():
            raise Failure("bytes arrived damaged: %s" % need)

    def _heard(self, read: Callable[[], bytes]) -> bytes:
        """What comes next; a controller that says nothing for so long is gone, though no end may be seen."""
        signal.signal(signal.SIGALRM, _silent)
        signal.alarm(SILENT_SECONDS)
        try:
            heard = read()
        finally:
            signal.alarm(0)
        if not heard:
            raise Disconnected()
        return heard

    def send(self, text: str) -> None:
        """Send a text as it is."""
        data = text.encode()
        while data and self.descriptor is not None:
            try:
                # A peer that stopped reading must not stop the host: give up on the stream, the run file goes on.
                ready = select.select([], [self.descriptor], [], STALLED_SECONDS)[1]
                data = data[os.write(self.descriptor, data[:512]) :] if ready else b""
                self.descriptor = self.descriptor if ready else None
            except OSError:
                self.descriptor = None


def standard() -> Stream:
    """The stream over this process's own stdin and stdout."""
    return Stream(sys.stdin.buffer, 1)


def _silent(*_: Any) -> None:
    raise Disconnected()
