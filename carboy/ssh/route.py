"""The way to an sshd: through its jumps, each of them known and logged in to, and again where one was too busy."""

from __future__ import annotations

import contextlib
import random
import socket
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from carboy.errors import UnreachableError
from carboy.ssh.dial import Socket, addresses, dial, start
from carboy.ssh.endpoint import Endpoint

if TYPE_CHECKING:
    from carboy.ssh.known import Pin
    from carboy.ssh.pulse import Line

PAUSES = (0.2, 0.4, 0.8, 1.6, 3.2, 4.0, 4.0)
"""Seconds between attempts where sshd hangs up at once, as it does while too many others are logging in."""
NAME, CONNECTION, HOST_KEY, LOGIN = "name", "connection", "host key", "login"
"""The steps, as an observer of them is told."""
TOO_MANY = "Exceeded MaxStartups"
"""What some versions say as they hang up."""


Observer = Callable[[Endpoint, str, str], None]
"""Told of each step that was taken: to which sshd, which step, and what came of it."""


class Route:
    """The connections on the way to one sshd; close it when done."""

    def __init__(self) -> None:
        self.step = ""
        """What is being tried, for whoever wants to know where an error comes from."""
        self.lines: list[Line] = []
        self._pinned: list[Pin] = []
        self.observer: Observer = lambda *_: None
        self._ways: list[Any] = []

    def admit(self, end: Endpoint) -> Line:
        """Connect, make sure who is there, and log in; raises UnreachableError."""
        line = self.greet(end)
        self._observe(end, HOST_KEY, self._recognize)
        self._observe(end, LOGIN, self._enter)
        return line

    def _observe(self, end: Endpoint, step: str, take: Callable[[Endpoint, Line], str]) -> None:
        self.step = step
        self.observer(end, step, take(end, self.lines[-1]))

    def _recognize(self, end: Endpoint, line: Line) -> str:
        from carboy.ssh import hostkeys

        return hostkeys.check(end, line.get_remote_server_key(), self._pinned)

    def _enter(self, end: Endpoint, line: Line) -> str:
        from carboy.ssh.login import log_in

        with _told(end, line):
            return f"as {end.user} with {log_in(end, line)}"

    def greet(self, end: Endpoint) -> Line:
        """Connect as far as the host key, which nobody has looked at yet; raises UnreachableError."""
        below = self.admit(end.jump) if end.jump else None
        self.step = CONNECTION
        for pause in PAUSES:
            try:
                return self._attempt(end, below)
            except _Busy:
                # Not all at once again, who were turned away together.
                time.sleep(pause * random.uniform(0.5, 1.5))
        return self._attempt(end, below)

    def _attempt(self, end: Endpoint, below: Line | None) -> Line:
        way = _through(end, below) if below else self._dial(end)
        # Here, so that the host sends its first words while paramiko is being imported.
        from carboy.ssh import hostkeys, known
        from carboy.ssh.pulse import Line

        line = Line(way, patience=end.timeout)
        self._ways.append(way)
        self.lines.append(line)
        options = line.get_security_options()
        # Read once: where names are hashed, each line of it takes a while.
        self._pinned = known.pins(end)
        options.key_types = hostkeys.preferred(end, options.key_types, self._pinned)
        with _told(end, line, way):
            line.start_client()
        self.observer(end, CONNECTION, f"{end.address} port {end.port} answers: {line.remote_version}")
        return line

    def _dial(self, end: Endpoint) -> Socket:
        if end.proxy_command:
            return start(end)
        self.step = NAME
        places = addresses(end)
        self.observer(end, NAME, f"{end.address} is {', '.join(dict.fromkeys(str(place[0]) for *_, place in places))}")
        self.step = CONNECTION
        return dial(end, places)

    def close(self) -> None:
        """Close all of it, the last connection first; it can be gone along again."""
        while self.lines:
            way, line = self._ways.pop(), self.lines.pop()
            # paramiko's thread looks up from the line only every 0.1 s, and Python waits for it at its end.
            with contextlib.suppress(OSError, EOFError):
                way.shutdown(socket.SHUT_RDWR)
            line.close()
            way.close()


class _Busy(UnreachableError):
    """The sshd hung up before it said who it is."""


def _through(end: Endpoint, below: Line) -> Any:
    from paramiko import ChannelException, SSHException

    try:
        return below.open_channel("direct-tcpip", (end.address, end.port), ("127.0.0.1", 0), timeout=end.timeout)
    except (ChannelException, SSHException, EOFError, OSError) as problem:
        words = problem.text if isinstance(problem, ChannelException) else _words(problem)
        what = f"{end.jump and end.jump.title} does not get on to {end.address} port {end.port}: {words}"
        hint = "look from there whether sshd answers; AllowTcpForwarding must be on at the jump"
        raise UnreachableError(what, where=end.where, hint=hint) from problem


@contextlib.contextmanager
def _told(end: Endpoint, line: Line, way: Any = None) -> Iterator[None]:
    """Tell in words what paramiko's errors mean: it has a dozen for a host that stays silent, none of which says so."""
    from paramiko import SSHException
    from paramiko.ssh_exception import IncompatiblePeer

    try:
        yield
    except IncompatiblePeer as problem:
        what = f"no algorithm in common with {end.title} ({line.remote_version}): {problem}"
        hint = "an OpenSSH before 7.2 knows SHA-1 alone: update it; or its sshd_config allows too little"
        raise UnreachableError(what, where=end.where, hint=hint) from problem
    except (OSError, EOFError, SSHException) as problem:
        raise _broken(end, line, way, problem) from problem


def _broken(end: Endpoint, line: Line, way: Any, problem: Exception) -> UnreachableError:
    said = " / ".join(line.packetizer.said)
    if line.gave_up:
        what = f"no SSH connection: no answer within {end.timeout} s"
        return UnreachableError(what, where=end.where, hint="is the host up, and is that the port of its sshd?")
    if line.remote_version or (said and TOO_MANY not in said):
        words = _words(problem) + (f"; it said: {said}" if said and not line.remote_version else "")
        hint = "is that the port of its sshd?" if said else "try again"
        return UnreachableError(f"no SSH connection: {words}", where=end.where, hint=hint)
    if isinstance(way, Socket) and way.program:
        way.close()
        what = f"ProxyCommand ended before sshd was heard: {way.said or 'it said nothing'}"
        return UnreachableError(what, where=end.where, hint=f"try it by hand: {end.proxy_command}")
    what = f"the host hung up before it said that it is an sshd, {len(PAUSES) + 1} times: {said or _words(problem)}"
    hint = "too many logins at once (MaxStartups in its sshd_config), or a firewall that closes connections"
    return _Busy(what, where=end.where, hint=hint)


def _words(problem: Exception) -> str:
    return str(problem) or type(problem).__name__
