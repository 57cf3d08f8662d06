"""werkzeug's server, which Flask brings, for development only: `python carboy_flask.py package.module:object`."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from io import BufferedReader
from typing import Any, cast
from urllib.parse import urlsplit

from carboy_access_log import Exchange, line
from carboy_logs import Logs, log
from carboy_server import Settings, run
from carboy_sockets import Waiting, scheme
from werkzeug.debug import DebuggedApplication
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

POLL_SECONDS = 0.1
HANDLER = "carboy.handler"


class Handler(WSGIRequestHandler):
    """One connection and its request: werkzeug closes the connection then."""

    server: Werkzeug
    status = 0
    body = 0

    def handle(self) -> None:
        """Wait for the request, but not if the end has come."""
        with self.server.new.on(self.connection):
            cast(BufferedReader, self.rfile).peek(1)
        super().handle()

    def run_wsgi(self) -> None:
        """Have the app asked, and log that."""
        try:
            urlsplit(self.path)
        except ValueError:
            self.send_error(400)
            return
        began = time.monotonic()
        super().run_wsgi()
        if self.status:
            self.server.logs.access.write(line(self._exchange(time.monotonic() - began)) + "\n")

    def make_environ(self) -> dict[str, Any]:
        """What the app gets; behind a proxy that is trusted with the scheme of the client."""
        environ = super().make_environ()
        facts = {"wsgi.errors": self.server.logs.error, HANDLER: self}
        if not self._peer():
            facts |= {"REMOTE_ADDR": "", "SERVER_NAME": "localhost", "SERVER_PORT": ""}
        environ["wsgi.url_scheme"] = scheme(self._peer(), environ.get("HTTP_X_FORWARDED_PROTO"))
        return environ | facts

    def send_response(self, code: int, message: str | None = None) -> None:
        """Begin the answer, and remember its status."""
        self.status = int(code)
        super().send_response(code, message)

    def log_request(self, *_: Any, **__: Any) -> None:
        """Do nothing: the log has its own form, and its line comes when the answer is complete."""

    def log_error(self, *_: Any, **__: Any) -> None:
        """Say that a request was refused; what the client wrote may hold a secret, and stays out of the log."""
        log.warning("invalid request from %s", self._peer())

    def _exchange(self, seconds: float) -> Exchange:
        return Exchange(
            # With what the proxy says of the client, or the app.
            peer=self.environ["REMOTE_ADDR"],
            protocol=self.request_version,
            method=self.command or "",
            # As it was sent: http.server makes one of several slashes.
            target=self.requestline.split()[1],
            headers=self.headers.items(),
            status=self.status,
            length=self.body,
            seconds=seconds,
        )

    def _peer(self) -> str | None:
        return None if self.server.address_family == socket.AF_UNIX else self.client_address[0]


class Werkzeug(ThreadedWSGIServer):
    """One socket, and a thread for each connection."""

    def __init__(self, listener: socket.socket, app: Any, settings: Settings, logs: Logs) -> None:
        unix = listener.family == socket.AF_UNIX
        host, port = ("unix://", 0) if unix else listener.getsockname()[:2]
        super().__init__(host, port, self._answer, Handler, fd=listener.fileno())
        self.socket.setblocking(False)
        self.wanted = debugged(app) if settings.options["debug"] else app
        self.logs = logs
        self.new = Waiting()
        self._open = 0
        self._closed = threading.Condition()

    def start(self) -> None:
        """Begin to accept connections."""
        threading.Thread(target=self.serve_forever, args=(POLL_SECONDS,), daemon=True).start()

    def end(self) -> None:
        """Accept no more."""
        self.shutdown()

    def join(self, seconds: float) -> int:
        """Wait for so long until no connection is left, and say how many are."""
        with self._closed:
            self._closed.wait_for(lambda: not self._open, seconds)
            return self._open

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a thread of its own; it counts from here on, before that thread runs."""
        with self._closed:
            self._open += 1
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection: the last that is done with each, however it went."""
        super().shutdown_request(request)
        with self._closed:
            self._open -= 1
            self._closed.notify_all()

    def log(self, *_: Any, **__: Any) -> None:
        """Say that the app failed; werkzeug says nothing else by this way."""
        log.error("error handling a request", exc_info=True)

    def handle_error(self, *_: Any, **__: Any) -> None:
        """Say that handling a connection failed."""
        log.error("error handling a connection", exc_info=True)

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        """Count what the app answers, and send no body to whom wants none."""
        handler = environ.pop(HANDLER)
        parts = self.wanted(environ, start_response)
        try:
            for part in parts:
                sent = b"" if handler.command == "HEAD" else part
                handler.body += len(sent)
                yield sent
        finally:
            getattr(parts, "close", bool)()


def debugged(app: Any) -> Any:
    """Show tracebacks in the browser, and never the console in which anybody could run code."""
    inner = getattr(app, "app", app)
    if hasattr(inner, "debug"):
        inner.debug = True
    return DebuggedApplication(app, evalex=False)


if __name__ == "__main__":
    run(Werkzeug)
