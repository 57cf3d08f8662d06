"""The sockets of a server: those that it inherits, or one of its own, and the connections that wait on them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from socket import AF_INET, AF_INET6, AF_UNIX, IPPROTO_TCP, SHUT_RD, TCP_NODELAY, create_server, socket

FIRST_INHERITED = 3
# Whose word counts that a client came by https, as gunicorn has it; a peer on a unix socket is always believed.
_NAMED = [each.strip() for each in os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1").split(",") if each.strip()]
TRUSTED = [ip_network(each) for each in _NAMED if each != "*"]
ANYBODY = "*" in _NAMED


class Waiting:
    """The connections on which a request is awaited."""

    def __init__(self) -> None:
        self._connections: set[socket] = set()
        self._over = False

    @contextlib.contextmanager
    def on(self, connection: socket) -> Iterator[None]:
        """Await a request on this connection for the length of the block."""
        self._connections.add(connection)
        if self._over:
            _hear_no_more(connection)
        try:
            yield
        finally:
            self._connections.discard(connection)

    def end(self) -> None:
        """Await none any more; those that have arrived by now can still be read."""
        self._over = True
        for connection in list(self._connections):
            _hear_no_more(connection)


def _hear_no_more(connection: socket) -> None:
    # By a second handle: gevent's own would break the wait off, and leave unread what has arrived.
    with contextlib.suppress(OSError), socket(fileno=os.dup(connection.fileno())) as twin:
        twin.shutdown(SHUT_RD)


def sockets(address: str, backlog: int) -> list[socket]:
    """Those that were inherited, else one of our own at the address: `HOST:PORT`, `PORT` or `unix:/path`."""
    found = _inherited() or [_bound(address, backlog)]
    for each in found:
        # Another process may take the connection that this one was woken for. And no program of the app's gets them.
        each.setblocking(False)
        each.set_inheritable(False)
        if each.family != AF_UNIX:
            each.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    return found


def _inherited() -> list[socket]:
    pid, count = os.environ.pop("LISTEN_PID", ""), int(os.environ.pop("LISTEN_FDS", 0))
    mine = pid == str(os.getpid())
    return [socket(fileno=FIRST_INHERITED + at) for at in range(count)] if mine else []


def _bound(address: str, backlog: int) -> socket:
    if address.startswith("unix:"):
        return _at_path(address.removeprefix("unix:"), backlog)
    host, _, port = address.rpartition(":")
    family = AF_INET if host and not host.startswith("[") else AF_INET6
    return create_server((host.strip("[]"), int(port)), family=family, backlog=backlog, dualstack_ipv6=not host)


def _at_path(path: str, backlog: int) -> socket:
    # What a dead process left there; a file of another kind stays.
    if Path(path).is_socket():
        Path(path).unlink()
    made = socket(AF_UNIX)
    made.bind(path)
    made.listen(backlog)
    return made


def scheme(peer: str | None, forwarded: str | None) -> str:
    """The scheme that the client used: what a proxy says that is trusted to, else what is seen here."""
    trusted = not peer or ANYBODY or any(ip_address(peer) in network for network in TRUSTED)
    return "https" if trusted and forwarded == "https" else "http"
