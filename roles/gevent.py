"""gevent's WSGIServer as the app's server: one process, for apps that live on what they keep in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal

from carboy.applier.resource import Blob, Resource
from carboy.inventory import Host
from carboy.template import template
from roles.app import Settings as App

GEVENT = "gevent==26.9.0"
COMMON = ("carboy_access_log.py", "carboy_logs.py", "carboy_server.py", "carboy_sockets.py", "server.json.j2")
"""What travels with each server that is a program of Carboy's."""


@dataclass(frozen=True)
class Settings:
    """`gevent_*`: how many connections it holds, and how long an idle one."""

    app: App
    connections: int = 2000
    keepalive: int = 5
    backlog: int = 2048
    log_level: Literal["debug", "info", "warning", "error", "critical"] = "info"

    @property
    def command(self) -> str:
        """What starts the app, to be run in a release whose folder is %r."""
        return f"%r/venv/bin/python %r/carboy_gevent.py {self.app.wsgi}"

    @property
    def requires(self) -> tuple[str, ...]:
        """What this server is made of, where the app does not name it."""
        return (GEVENT,)

    @property
    def candidate(self) -> dict[str, str]:
        """Environment in which all logs go to stdout and stderr."""
        return {"CARBOY_LOGS": "-"}

    @property
    def options(self) -> dict[str, Any]:
        """What only this server understands."""
        return {"connections": self.connections, "keepalive": self.keepalive}

    def files(self) -> dict[str, tuple[str, Blob]]:
        """What a release carries for this server, by path, with the mode."""
        return carried(self, "gevent/carboy_gevent.py", "gevent/carboy_pywsgi.py")

    def validate(self) -> Iterator[tuple[str, str]]:
        """What the types cannot say."""
        for name, least in (("connections", 1), ("keepalive", 0), ("backlog", 1)):
            if getattr(self, name) < least:
                yield name, f"{getattr(self, name)} must be at least {least}"


def resources(host: Host, s: Settings) -> Iterator[Resource]:  # noqa: ARG001 - every role has this form
    """Nothing beside the release."""
    yield from ()


def carried(s: Any, *names: str) -> dict[str, tuple[str, Blob]]:
    """These templates and the common ones, filled with a server's settings, by their names in the release."""
    every = (*(f"servers/{name}" for name in COMMON), *names)
    return {PurePath(name).name.removesuffix(".j2"): ("0644", template(name, s=s)) for name in every}
