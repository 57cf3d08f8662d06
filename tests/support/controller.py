"""The controller's end of a stream, in a thread: keeps the events, and answers what a host wants."""

from __future__ import annotations

import json
import os
from hashlib import sha256
from threading import Thread
from typing import Any

from carboy.applier.resource import Blob
from carboy.applier.stream import Stream


class Controller:
    """Answers each need from `supply`: bytes under their digest, answers to questions under the question's name."""

    def __init__(self) -> None:
        self.supply: dict[str, bytes] = {}
        self.wanted: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        incoming, self._outgoing = os.pipe()
        self._events, descriptor = os.pipe()
        self.stream = Stream(os.fdopen(incoming, "rb"), descriptor)
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    def offer(self, data: bytes) -> Blob:
        """Have these bytes ready for a host; returns the blob that names them."""
        digest = sha256(data).hexdigest()
        self.supply[digest] = data
        return Blob(digest, len(data))

    def close(self) -> None:
        """End the conversation, and wait until every event was read."""
        if self.stream.descriptor is not None:
            os.close(self.stream.descriptor)
            self.stream.descriptor = None
        self._thread.join()
        self.stream.reader.close()

    def hang_up(self) -> None:
        """Go away, as a lost connection does: nothing more arrives."""
        os.close(self._outgoing)
        self._outgoing = -1

    def send(self, data: bytes) -> None:
        """Send raw bytes, whatever was asked for."""
        os.write(self._outgoing, data)

    def _serve(self) -> None:
        with os.fdopen(self._events, "rb") as lines:
            for line in lines:
                event = json.loads(line)
                self.events.append(event)
                for need in event.get("needs", ()):
                    self._answer(need)
        if self._outgoing >= 0:
            self.hang_up()

    def _answer(self, need: dict[str, Any]) -> None:
        self.wanted.append(need)
        data = self.supply.get(need.get("blob") or next(iter(need)))
        if data is not None:
            with os.fdopen(os.dup(self._outgoing), "wb") as target:
                target.write(b"%d\n%s" % (len(data), data))
