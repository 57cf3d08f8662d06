"""The access log as one JSON object a line, in the same form whatever serves.

A header that was not sent is null, as is the address of a peer on a unix socket: no header that a client could write
itself takes its place. A repeated header is joined by commas, as the app sees it. Bytes that are not UTF-8 are written
as `\\xff`, and a value is cut at 2,048 characters. Query strings are never logged.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

LONGEST = 2048
USERINFO = re.compile(r"^([^/]*/+)?[^/]*@")
QUERY_OR_FRAGMENT = re.compile(r"[?#].*", re.DOTALL)
SCHEME_AND_HOST = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/]*")


@dataclass(frozen=True)
class Exchange:
    """A request as the client sent it, and what came of it; texts are bytes that were read as Latin-1."""

    peer: str | None
    protocol: str
    method: str
    target: str
    headers: Sequence[tuple[str, str]]
    status: int
    length: int
    seconds: float

    def header(self, name: str) -> str | None:
        """The value of a header whose name is given in small letters, None if the client did not send it."""
        values = [value.strip(" \t") for key, value in self.headers if key.lower() == name]
        return ",".join(values) if values else None


def line(exchange: Exchange) -> str:
    """The line of one request."""
    return json.dumps(
        {
            "@timestamp": datetime.now().astimezone().isoformat(timespec="seconds"),
            "remote_addr": exchange.peer or None,
            "protocol": exchange.protocol,
            "host": text(exchange.header("host")),
            "request_method": exchange.method,
            "request_path": text(path(exchange.target)),
            "status_code": exchange.status,
            "response_length": exchange.length,
            "referer": text(without_secrets(exchange.header("referer"))),
            "user_agent": text(exchange.header("user-agent")),
            "x_tracking_id": text(exchange.header("x-tracking-id")),
            "request_time": round(exchange.seconds, 6),
            "release": os.environ.get("CARBOY_RELEASE"),
        }
    )


def text(value: str | None) -> str | None:
    """Read as UTF-8 what a server read as Latin-1, keeping the bytes that are neither, up to the longest length."""
    return value and value.encode("latin-1", "backslashreplace").decode("utf-8", "backslashreplace")[:LONGEST]


def path(target: str) -> str:
    """Cut from a request's target the query string, the fragment, and what a proxy may put before the path."""
    return SCHEME_AND_HOST.sub("", QUERY_OR_FRAGMENT.sub("", target))


def without_secrets(url: str | None) -> str | None:
    """Cut the query string, the fragment and the user's name and password from a URL, however malformed it is."""
    return url and USERINFO.sub(r"\1", QUERY_OR_FRAGMENT.sub("", url))
