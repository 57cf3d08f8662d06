"""gunicorn's logs: its access log in the common form, and its error log without what clients hide in URLs."""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from typing import Any

from carboy_access_log import Exchange, line
from gunicorn.glogging import Logger

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
            self.access_log.info(line(exchange(resp, req, environ, request_time)))


def exchange(resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> Exchange:
    """Take what the client sent from the request, since the app may have changed the environ."""
    return Exchange(
        peer=environ.get("REMOTE_ADDR"),
        protocol=environ["SERVER_PROTOCOL"],
        method=req.method,
        target=req.uri,
        headers=req.headers,
        status=int(resp.status[:3]),
        length=response_length(resp, req),
        seconds=request_time.total_seconds(),
    )


def response_length(resp: Any, req: Any) -> int:
    """Return the length of the body in bytes, which gunicorn does not count when the kernel sends a file."""
    announced = 0 if req.method == "HEAD" else resp.response_length
    return resp.sent or announced or 0


def withhold_client_words(record: logging.LogRecord) -> bool:
    """Cut from a message of the error log what the client wrote, since that may hold a secret; keep every message."""
    record.msg, record.args = QUOTES_CLIENT.sub(r"\1(withheld)", record.getMessage()), ()
    return True
