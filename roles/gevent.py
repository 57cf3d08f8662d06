"""gevent's WSGIServer as the app's server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from carboy.applier.resource import Blob, Resource
from carboy.inventory import Host
from roles.app import Settings as App


@dataclass(frozen=True)
class Settings:
    """`gevent_*`: none yet."""

    app: App

    @property
    def command(self) -> str:
        """What starts the app, to be run in a release whose folder is %r."""
        return f"%r/venv/bin/python %r/carboy_gevent.py {self.app.wsgi}"

    @property
    def candidate(self) -> dict[str, str]:
        """Environment in which all logs go to stdout and stderr."""
        return {}

    def files(self) -> dict[str, tuple[str, Blob]]:
        """What a release carries for this server."""
        return {}


def resources(host: Host, s: Settings) -> Iterator[Resource]:  # noqa: ARG001 - every role has this form
    """Nothing beside the release."""
    yield from ()
