"""gunicorn's access log as one JSON object a line, and its error log without what clients hide in URLs.

A header that was not sent is null, as is the address of a peer on a unix socket: no header that a client could write
itself takes its place. A repeated header is joined by commas, as the app sees it. Bytes that are not UTF-8 are written
as `\\xff`, and a value is cut at 2,048 characters. Query strings are never logged.
"""

from __future__ import annotations

import json
import logging
import os
import re
from datetime import datetime, timedelta
from typing import Any

from gunicorn.glogging import Logger

LONGEST = 2048
USERINFO = re.compile(r"^([^/]*/+)?[^/]*@")
QUERY_OR_FRAGMENT = re.compile(r"[?#].*", re.DOTALL)
# These messages of gunicorn's end in words of the client, the query string among them: only the beginning is kept.
QUOTES_CLIENT = re.compile(
    r"""(Invalid\ request\ from\ [^'"]* | Error\ handling\ request\ [^?]* | Ignored\ premature\ client\ ).*""",
    re.DOTALL | re.VERBOSE,
)


class JsonLogger(Logger):  # type: ignore[misc]
    """The logger of gunicorn, for its gevent, gthread and sync workers alike."""

    def setup(self, cfg: Any) -> None:
        """Set up the logs as gunicorn does, and keep the words of clients out of the error log."""
        super().setup(cfg)
        self.error_log.addFilter(withhold_client_words)

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> None:
        """Write the line of one request."""
        # Without a status the app failed before it began: gunicorn answers for it, and logs that answer.
        if self.access_log_enabled and resp.status:
            self.access_log.info(json.dumps(entry(resp, req, environ, request_time)))


def entry(resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> dict[str, Any]:
    """Collect the fields of one request, from what the client sent rather than from what the app may have changed."""
    return {
        "@timestamp": datetime.now().astimezone().isoformat(timespec="seconds"),
        "remote_addr": environ.get("REMOTE_ADDR") or None,
        "protocol": environ["SERVER_PROTOCOL"],
        "host": text(header(req, "HOST")),
        "request_method": req.method,
        "request_path": text(req.path),
        "status_code": int(resp.status[:3]),
        "response_length": response_length(resp, req),
        "referer": text(without_secrets(header(req, "REFERER"))),
        "user_agent": text(header(req, "USER-AGENT")),
        "x_tracking_id": text(header(req, "X-TRACKING-ID")),
        "request_time": round(request_time.total_seconds(), 6),
        "release": os.environ.get("CARBOY_RELEASE"),
    }


def header(req: Any, name: str) -> str | None:
    """Return the value of a header, None if the client did not send it."""
    values = [value for key, value in req.headers if key == name]
    return ",".join(values) if values else None


def text(value: str | None) -> str | None:
    """Read as UTF-8 what gunicorn read as Latin-1, keeping the bytes that are neither, up to the longest length."""
    return value and value.encode("latin-1", "backslashreplace").decode("utf-8", "backslashreplace")[:LONGEST]


def without_secrets(url: str | None) -> str | None:
    """Cut the query string, the fragment and the user's name and password from a URL, however malformed it is."""
    return url and USERINFO.sub(r"\1", QUERY_OR_FRAGMENT.sub("", url))


def response_length(resp: Any, req: Any) -> int:
    """Return the length of the body in bytes, which gunicorn does not count when the kernel sends a file."""
    announced = 0 if req.method == "HEAD" else resp.response_length
    return resp.sent or announced or 0


def withhold_client_words(record: logging.LogRecord) -> bool:
    """Cut from a message of the error log what the client wrote, since that may hold a secret; keep every message."""
    record.msg, record.args = QUOTES_CLIENT.sub(r"\1(withheld)", record.getMessage()), ()
    return True
