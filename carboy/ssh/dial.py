"""The line to an sshd: a TCP connection, or the program that ssh's configuration names in its place.

Without paramiko, so that a host can answer while that is still being imported.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import subprocess
import tempfile
import time
from typing import IO

from carboy.errors import UnreachableError
from carboy.ssh.endpoint import Endpoint

LAST_LINES = 3
PATIENCE_SECONDS = 2
FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}
NO_WAY = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM)


Place = tuple[int, int, int, str, tuple[str, int]]
"""As getaddrinfo says it."""


class Socket(socket.socket):
    """A connected socket, and the program at its other end if there is one."""

    program: subprocess.Popen[bytes] | None = None
    words: IO[bytes] | None = None
    said = ""
    """What the program wrote beside the line, once that is closed."""

    def close(self) -> None:
        """Close the socket, and end the program."""
        super().close()
        # By one thread: paramiko's own closes too.
        words, self.words = self.words, None
        if self.program and words:
            _end(self.program)
            with words:
                words.seek(0)
                said = words.read().decode("utf-8", "replace").splitlines()
            self.said = " / ".join(said[-LAST_LINES:])


def _end(program: subprocess.Popen[bytes]) -> None:
    """End a program and all that it has started, also what ignores it."""
    until = time.monotonic() + PATIENCE_SECONDS
    _signalled(program, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        program.wait(PATIENCE_SECONDS)
    # Of `a | b` the program is the shell, which does not wait for them any more.
    while _signalled(program, 0) and time.monotonic() < until:
        time.sleep(0.01)
    _signalled(program, signal.SIGKILL)
    program.wait()


def _signalled(program: subprocess.Popen[bytes], number: int) -> bool:
    """Send a signal to all of its session; returns whether there is anybody left."""
    try:
        os.killpg(program.pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def dial(end: Endpoint, places: list[Place]) -> Socket:
    """A TCP connection to the first of some places that answers; raises UnreachableError."""
    problem: OSError = OSError("it has no address")
    for family, kind, protocol, _, place in places:
        line = Socket(family, kind, protocol)
        try:
            line.settimeout(end.timeout)
            if end.one("bindaddress"):
                line.bind((end.one("bindaddress"), 0))
            line.connect(place)
        except OSError as error:
            line.close()
            problem = error
            continue
        line.settimeout(None)
        # With Nagle's algorithm each command would wait 40 ms for an acknowledgement.
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return line
    raise unreachable(end, problem)


def addresses(end: Endpoint) -> list[Place]:
    """The places that the name of an sshd stands for; raises UnreachableError if it is not known."""
    family = FAMILIES.get(end.one("addressfamily"), socket.AF_UNSPEC)
    try:
        return socket.getaddrinfo(end.address, end.port, family, socket.SOCK_STREAM)  # type: ignore[return-value]
    except (OSError, UnicodeError) as problem:
        hint = "correct ansible_host, HostName in ssh's configuration, or what resolves names here"
        raise UnreachableError(
            f"the name {end.address} is not known: {problem}", where=end.where, hint=hint
        ) from problem


def unreachable(end: Endpoint, problem: OSError) -> UnreachableError:
    """Why there is no TCP connection: refused, no answer, no way, or what the kernel says."""
    place = f"{end.address} port {end.port}"
    if isinstance(problem, ConnectionRefusedError):
        what, hint = f"nothing listens on {place}: connection refused", "is sshd up, and is that its port?"
    elif isinstance(problem, TimeoutError):
        what = f"no answer within {end.timeout} s from {place}"
        hint = "is the host up, and does a firewall let this machine in?"
    elif problem.errno in NO_WAY:
        what, hint = f"no way to {place}: {problem.strerror}", "look at this machine's network, routes and firewall"
    else:
        what, hint = f"no connection to {place}: {problem}", "is the host up?"
    return UnreachableError(what, where=end.where, hint=hint)


def start(end: Endpoint) -> Socket:
    """The line that a program is, as ssh's configuration has it."""
    ours, theirs = socket.socketpair()
    line = Socket(fileno=ours.detach())
    with theirs:
        line.words = tempfile.TemporaryFile()  # noqa: SIM115 - read when the line turns out to be dead
        # In a session of its own: Ctrl-C is for Carboy, which then says what became of the run.
        line.program = subprocess.Popen(
            ["sh", "-c", f"exec {end.proxy_command}"],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=line.words,
            start_new_session=True,
        )
    return line
