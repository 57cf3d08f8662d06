"""The client as the app sees it where a proxy stands in front: its own address and scheme, not the proxy's."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from typing import Any

Environ = dict[str, Any]
App = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class Proxied:
    """A WSGI app behind a proxy that writes X-Real-IP and X-Forwarded-Proto itself, whatever a client sent.

    A peer on a unix socket is the proxy: the socket's mode lets nobody else in. One with an address is believed only
    where the app listens nowhere but behind the proxy, which `over_tcp` says.
    """

    def __init__(self, app: App, *, over_tcp: bool = False) -> None:
        self.app = app
        self.over_tcp = over_tcp

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer as the app does."""
        if self.over_tcp or not environ.get("REMOTE_ADDR"):
            self._correct(environ)
        return self.app(environ, start_response)

    def _correct(self, environ: Environ) -> None:
        client = address(environ.get("HTTP_X_REAL_IP", ""))
        # Not there: it is a question of the host's own, such as a probe.
        if client:
            environ["REMOTE_ADDR"] = client
            environ["wsgi.url_scheme"] = "https" if environ.get("HTTP_X_FORWARDED_PROTO") == "https" else "http"


def address(text: str) -> str:
    """The address that a text is, empty if it is none; what follows a % could be anything."""
    try:
        return str(ipaddress.ip_address(text.replace("%", " ")))
    except ValueError:
        return ""
