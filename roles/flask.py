"""werkzeug's server, which comes with Flask, as the server of any WSGI app: for development only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from carboy.applier.resource import Blob, Resource
from carboy.inventory import Host
from roles.app import Settings as App
from roles.gevent import carried


@dataclass(frozen=True)
class Settings:
    """`flask_*`: debug shows tracebacks in the browser."""

    app: App
    debug: bool = False
    backlog: int = 128
    log_level: Literal["debug", "info", "warning", "error", "critical"] = "info"

    @property
    def command(self) -> str:
        """What starts the app, to be run in a release whose folder is %r."""
        return f"%r/venv/bin/python %r/carboy_flask.py {self.app.wsgi}"

    @property
    def requires(self) -> tuple[str, ...]:
        """What this server is made of, in the version that the app's Flask wants."""
        return ("werkzeug",)

    @property
    def candidate(self) -> dict[str, str]:
        """Environment in which all logs go to stdout and stderr."""
        return {"CARBOY_LOGS": "-"}

    @property
    def options(self) -> dict[str, Any]:
        """What only this server understands."""
        return {"debug": self.debug}

    def files(self) -> dict[str, tuple[str, Blob]]:
        """What a release carries for this server, by path, with the mode."""
        return carried(self, "flask/carboy_flask.py")

    def warnings(self) -> Iterator[str]:
        """That this server is in use at all."""
        if self.app.server == "flask":
            yield "app_server is flask, a server for development: let nobody from outside reach it"

    def validate(self) -> Iterator[tuple[str, str]]:
        """What the types cannot say."""
        if self.backlog < 1:
            yield "backlog", f"{self.backlog} must be at least 1"


def resources(host: Host, s: Settings) -> Iterator[Resource]:  # noqa: ARG001 - every role has this form
    """Nothing beside the release."""
    yield from ()
