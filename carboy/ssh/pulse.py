"""Whether a host is still there: asked inside the connection, for the kernel of a frozen host acknowledges bytes."""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, cast

import paramiko
from paramiko.packet import Packetizer

TICK = 1.0
ASK_AFTER_TICKS = 5
GIVE_UP_TICKS = 25
"""Together with a tick and the end of the run, less than the 30 s in which a dead host is to be noticed."""


class Line(paramiko.Transport):
    """A connection that ends once the host said nothing for too long, even when it was asked to.

    Before the login the limit is `patience` seconds; for paramiko each key that is offered may take as long again.
    """

    packetizer: _Packets

    def __init__(self, sock: socket.socket, *, patience: float, **given: Any) -> None:
        super().__init__(sock, packetizer_class=_Packets, **given)
        self.gave_up = False
        self._patience = patience
        self._at_home = False
        # Later than `patience`, so that there is one judge.
        self.banner_timeout = self.handshake_timeout = 2 * patience
        # None at all, because a person may have to find a token first.
        self.auth_timeout = math.inf

    def run(self) -> None:
        """Read from the host as ever, and watch that there is something to read."""
        threading.Thread(target=self._watch, daemon=True).start()
        super().run()

    @contextlib.contextmanager
    def at_home(self) -> Iterator[None]:
        """Meanwhile it is this side that takes its time, and the host's silence does not count."""
        self._at_home = True
        try:
            yield
        finally:
            self._at_home = False

    def auth_publickey(self, username: str, key: paramiko.PKey, event: threading.Event | None = None) -> list[str]:
        """Log in with a key, however long a person needs to let it sign."""
        return super().auth_publickey(username, cast("paramiko.PKey", _Patient(key, self)), event)

    def _watch(self) -> None:
        # Counted and not timed: while this process is stopped, or its machine sleeps, the host has no chance to answer.
        heard = silent = 0
        while self.is_active():
            time.sleep(TICK)
            silent = silent + 1 if self.packetizer.heard == heard and not self._at_home else 0
            heard = self.packetizer.heard
            if silent == ASK_AFTER_TICKS and self.is_authenticated():
                # Apart, because where nobody reads any more, sending blocks too.
                threading.Thread(target=self._ask, daemon=True).start()
            if silent * TICK >= (GIVE_UP_TICKS * TICK if self.is_authenticated() else self._patience):
                self._give_up()
                return

    def _ask(self) -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            # Every server must answer, if only that it does not know such a request.
            self.global_request("keepalive@openssh.com", wait=True)

    def _give_up(self) -> None:
        self.gave_up = True
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)


class _Patient:
    """A key that signs at home, as an agent that asks first, or a token that wants to be touched."""

    def __init__(self, key: paramiko.PKey, line: Line) -> None:
        self._key = key
        self._line = line

    def __getattr__(self, name: str) -> Any:
        return getattr(self._key, name)

    def sign_ssh_data(self, data: bytes, algorithm: str | None = None) -> paramiko.Message:
        """The signature."""
        with self._line.at_home():
            return self._key.sign_ssh_data(data, algorithm)


class _Packets(Packetizer):
    """The packets of a connection; those that came in are counted."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.heard = 0
        self.said: list[str] = []
        """The lines before the first packet, of which the last one names the server's version."""

    def close(self) -> None:
        """Close the line, which may be a channel of a connection that is broken."""
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            super().close()

    def readline(self, timeout: float) -> str:
        """The next of these lines."""
        line = str(super().readline(timeout))
        self.heard += 1
        self.said.append(line)
        return line

    def read_message(self) -> Any:
        """The next packet."""
        packet = super().read_message()
        self.heard += 1
        return packet
