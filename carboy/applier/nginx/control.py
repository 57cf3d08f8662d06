"""The nginx of a host: its version, and what it says of the configuration that it runs with."""

from __future__ import annotations

import re
import socket
from typing import Tuple

from carboy.applier.host import Host

PROGRAM = "/usr/sbin/nginx"
# Of its own `http2` directive; before, it was a word of `listen`.
MODERN = (1, 25, 1)
# Not 127.0.0.1: a site that listens there alone would answer in the place of all others.
LOCAL = "127.80.0.1"
ANSWER_SECONDS = 2.0


def version(host: Host) -> Tuple[int, ...]:
    """The version of nginx; () where there is none."""
    if not host.at(PROGRAM).exists():
        return ()
    found = re.search(r"nginx/([0-9.]+)", host.call(PROGRAM, "-v").stderr)
    return tuple(map(int, found[1].split("."))) if found else ()


def ask(app: str, port: int, path: str = "/") -> str:
    """What the site of an app says of itself: the mark of its configuration; empty if it does not run."""
    request = "GET %s HTTP/1.0\r\nHost: %s.carboy.invalid\r\n\r\n" % (path, app)
    try:
        with socket.create_connection((LOCAL, port), timeout=ANSWER_SECONDS) as connection:
            connection.sendall(request.encode())
            with connection.makefile("rb") as answer:
                head, _, body = answer.read(65536).partition(b"\r\n\r\n")
    except OSError:
        return ""
    return body.decode("ascii", "replace") if b" 200 " in head.partition(b"\r\n")[0] else ""
