"""Asking an app for its health over a socket."""

from __future__ import annotations

import socket
from typing import Optional, Union

Address = Union[str, "tuple[str, int]"]


class Answer:
    """What a probe saw: a status and the body's beginning, or the error that stood in the way."""

    def __init__(self, status: int = 0, body: str = "", error: str = "") -> None:
        self.status = status
        self.body = body
        self.error = error

    @property
    def healthy(self) -> bool:
        """Whether the app said that it is well."""
        return 200 <= self.status < 400

    def __str__(self) -> str:
        return "%d %s" % (self.status, self.body.partition("\n")[0][:100]) if self.status else self.error


def address(listen: str) -> Address:
    """Where a client on the host reaches a listener given as systemd writes it: /path, port, or host:port."""
    if listen.startswith("/"):
        return listen
    host, port = split(listen)
    return ({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port)


def split(listen: str) -> "tuple[str, int]":
    """Host and port of a listener on TCP; a bare port means every address."""
    host, _, port = listen.rpartition(":")
    return (host.strip("[]") or "0.0.0.0", int(port))


def ask(where: Address, path: str, seconds: float, host_header: str = "localhost") -> Answer:
    """One GET; the wait for a worker to accept and for its answer is `seconds` at most."""
    import http.client  # here, because an unchanged run asks nothing and need not pay for the import

    connection = http.client.HTTPConnection(host_header, timeout=seconds)
    try:
        connection.sock = _connect(where, seconds)
        connection.request("GET", path, headers={"Connection": "close", "User-Agent": "carboy-probe"})
        response = connection.getresponse()
        return Answer(response.status, response.read1(300).decode("utf-8", "replace").strip())
    except (OSError, UnicodeError, http.client.HTTPException) as problem:
        return Answer(error="no answer on %s: %s" % (path, _words(problem, seconds)))
    finally:
        connection.close()


def _connect(where: Address, seconds: float) -> socket.socket:
    if not isinstance(where, str):
        return socket.create_connection(where, timeout=seconds)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(seconds)
    connection.connect(where)
    return connection


def _words(problem: Exception, seconds: float) -> Optional[str]:
    return "nothing within %.0f s" % seconds if isinstance(problem, socket.timeout) else str(problem) or repr(problem)
