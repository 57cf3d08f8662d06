"""Clients of a host with nginx before the app."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any

from tests.host.conftest import Outcome, Site
from tests.support.certificates import Authority

NAME = "example.org"
GIVE_UP_SECONDS = 20


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so; fail if that takes too long."""
    end = time.monotonic() + GIVE_UP_SECONDS
    while not condition():
        assert time.monotonic() < end, "it does not come to pass"
        time.sleep(0.01)


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: str
    peer: bytes = field(default=b"", repr=False)

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Front:
    """A host with nginx before the app, and a client that trusts its certificate."""

    site: Site
    authority: Authority
    ports: dict[int, int]

    def get(self, path: str, name: str = NAME, *, tls: bool = True, body: Any = None, **headers: str) -> Answer:
        """Ask once; a header's `_` stands for `-`."""
        connection = http.client.HTTPConnection(name, timeout=GIVE_UP_SECONDS)
        with self.connect(name, tls=tls) as connection.sock:
            peer = connection.sock.getpeercert(True) if tls else b""  # type: ignore[attr-defined]
            given = {key.replace("_", "-"): value for key, value in headers.items()}
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request("POST" if body else "GET", path, body, {"Connection": "close", **given})
            response = connection.getresponse()
            found = {key.lower(): value for key, value in response.getheaders()}
            assert len(found) == len(response.getheaders()), f"a header twice: {response.getheaders()}"
            return Answer(response.status, found, response.read().decode("latin-1"), peer or b"")

    def connect(self, name: str = NAME, *, tls: bool = True, port: int = 0) -> socket.socket:
        """A connection to nginx, secured and checked unless `tls` says no."""
        address = "127.0.0.1", self.ports[port or (443 if tls else 80)]
        plain = socket.create_connection(address, timeout=GIVE_UP_SECONDS)
        return self.authority.client.wrap_socket(plain, server_hostname=name) if tls else plain

    def deploy(self, *settings: str, expect: int = 0) -> Outcome:
        """Deploy with further settings."""
        return self.site.invoke("deploy", *(word for each in settings for word in ("-e", each)), expect=expect)

    def main_process(self) -> str:
        """The main process of nginx, which a restart would change."""
        return self.site.shell("cat /run/nginx.pid")


class Visitor:
    """Asks for a page and a static file with TLS, again and again, as long as the `with` block lasts."""

    def __init__(self, front: Front) -> None:
        self.front = front
        self.failures: list[str] = []
        self.count = 0
        self.over = Event()
        self.thread = Thread(target=self._visit)

    def __enter__(self) -> Visitor:
        self.thread.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self.over.set()
        self.thread.join()

    def goes_on(self) -> None:
        """Wait until more was asked for."""
        enough = self.count + 10
        until(lambda: self.count >= enough)

    def _visit(self) -> None:
        while not self.over.is_set():
            self._look("/test", "ok")
            self._look("/static/site.css", "body { color: navy }\n")

    def _look(self, path: str, wanted: str) -> None:
        self.count += 1
        try:
            answer = self.front.get(path)
        except (OSError, http.client.HTTPException) as problem:
            self.failures.append(f"{path}: {problem!r}")
            return
        if (answer.status, answer.body) != (200, wanted):
            self.failures.append(f"{path}: {answer}")
