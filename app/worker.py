"""What is known about the process that answers."""

from __future__ import annotations

import os
import platform
import socket
from datetime import datetime, timedelta
from importlib.metadata import version


class Worker:
    """This process: a worker of gunicorn, or the development server."""

    def __init__(self) -> None:
        self.started = _now()
        # With preload the app is created before the workers are forked: the clock of a worker starts at its fork.
        os.register_at_fork(after_in_child=self._restart_clock)

    def _restart_clock(self) -> None:
        self.started = _now()

    @property
    def uptime(self) -> timedelta:
        """Time since the process started, in whole seconds."""
        return timedelta(seconds=int((_now() - self.started).total_seconds()))

    def facts(self, server: str) -> dict[str, str]:
        """Name what answered, in the order in which a person asks; `server` is the name and version of the server."""
        return {
            "Host": socket.gethostname(),
            "Worker": f"pid {os.getpid()}",
            "Since": self.started.strftime("%Y-%m-%d %H:%M:%S %z"),
            "Uptime": str(self.uptime),
            "Python": platform.python_version(),
            "Flask": version("flask"),
            "Server": server.replace("/", " "),
        }


def _now() -> datetime:
    return datetime.now().astimezone()
