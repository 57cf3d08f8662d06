"""gevent's WSGIServer as Carboy needs it: an end without a lost request, and logs in the common form."""

from __future__ import annotations

import socket
from typing import Any

from carboy_access_log import Exchange, line
from carboy_logs import Logs, log
from carboy_server import Settings
from carboy_sockets import Waiting, scheme
from gevent.pool import Pool
from gevent.pywsgi import WSGIHandler, WSGIServer

FIRST_SECONDS = 30.0
"""How long a new connection may take to send a request."""
REFUSAL = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Handler(WSGIHandler):  # type: ignore[misc]
    """One connection, with all its requests."""

    server: PyWsgi
    environ: dict[str, Any] | None
    seen = 0
    body = 0

    def read_requestline(self) -> str:
        """Wait for the first byte of a request, but not for ever, and not if the end has come."""
        self.environ, self.body = None, 0
        self.socket.settimeout(self.server.keepalive if self.seen else FIRST_SECONDS)
        with (self.server.idle if self.seen else self.server.new).on(self.socket):
            self.rfile.peek(1)
        self.socket.settimeout(None)
        self.seen += 1
        requestline: str = super().read_requestline()
        return requestline

    def get_environ(self) -> dict[str, Any]:
        """What the app gets; behind a proxy that is trusted with the scheme of the client."""
        environ: dict[str, Any] = super().get_environ()
        environ["wsgi.url_scheme"] = scheme(self._peer(), environ.get("HTTP_X_FORWARDED_PROTO"))
        return environ

    def finalize_headers(self) -> None:
        """Say that the connection will be closed where that is our own wish."""
        super().finalize_headers()
        if self.server.ending or not self.server.keepalive:
            self.close_connection = True
            self.response_headers.append((b"Connection", b"close"))
        if self.command == "HEAD":
            # No body is sent in chunks then, not even the last and empty one.
            self.response_use_chunked = False

    def write(self, data: bytes) -> None:
        """Send a part of the body, and count it."""
        part = b"" if self.command == "HEAD" else data
        super().write(part)
        self.body += len(part)

    def log_request(self) -> None:
        """Log a request that the app was asked."""
        if self.environ is not None and self.status:
            self.server.log.write(line(self._exchange(self.environ)) + "\n")

    def _exchange(self, environ: dict[str, Any]) -> Exchange:
        return Exchange(
            # With what the proxy says of the client, or the app.
            peer=environ.get("REMOTE_ADDR"),
            protocol=self.request_version,
            method=self.command,
            target=self.path,
            headers=self.headers.items(),
            # Negative if the client was gone before the end.
            status=abs(self.code),
            length=self.body,
            seconds=self.time_finish - self.time_start,
        )

    def _peer(self) -> str | None:
        return self.client_address[0] if isinstance(self.client_address, tuple) else None

    def _log_error(self, *error: Any) -> None:
        log.error("error handling a request from %s", self._peer(), exc_info=error)

    def _handle_client_error(self, error: Exception) -> tuple[str, bytes]:
        """Refuse what is no proper request; what the client wrote may hold a secret, and stays out of the log."""
        log.warning("invalid request from %s: %s", self._peer(), type(error).__name__)
        return "400", REFUSAL


class PyWsgi(WSGIServer):  # type: ignore[misc]
    """One socket and its connections; in a pool of its own, so that a full one does not keep out the health probe."""

    handler_class = Handler

    def __init__(self, listener: socket.socket, app: Any, settings: Settings, logs: Logs) -> None:
        # With a name, or gevent would look the address up, which takes long where no name service answers.
        facts = {"SERVER_NAME": "localhost", "wsgi.multithread": True}
        pool = Pool(settings.options["connections"])
        super().__init__(listener, app, spawn=pool, log=logs.access, error_log=logs.error, environ=facts)
        self.keepalive = settings.options["keepalive"]
        self.new, self.idle = Waiting(), Waiting()
        self.ending = False

    def end(self) -> None:
        """Accept no more, and let go of connections that are idle."""
        self.ending = True
        self.close()
        self.idle.end()

    def join(self, seconds: float) -> int:
        """Wait for so long until no connection is left, and say how many are."""
        self.pool.join(timeout=seconds)
        return len(self.pool)
