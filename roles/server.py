"""What serves the app: one of several servers, which all offer the same to whatever runs them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from carboy.applier.resource import Blob, Resource
from carboy.inventory import Host
from roles import flask, gevent, gunicorn
from roles.app import Settings as App

Files = dict[str, tuple[str, Blob]]
"""What a release carries beside the tree: by path the mode and the content."""


class Server(Protocol):
    """What a server's settings offer.

    It inherits sockets by LISTEN_FDS, else binds to CARBOY_BIND, else to `app_listen`; USR1 reopens its logs; TERM ends
    it within `app_stop_timeout`, when the requests in flight are answered.
    """

    @property
    def command(self) -> str:
        """What starts the app, to be run in a release whose folder is %r."""

    @property
    def requires(self) -> tuple[str, ...]:
        """The requirements that this server is made of; each counts where the app names no version of its own."""

    @property
    def candidate(self) -> dict[str, str]:
        """Environment in which all logs go to stdout and stderr."""

    def files(self) -> Files:
        """What a release carries for this server."""


@dataclass(frozen=True)
class Settings:
    """No settings of its own: `app_server` names the server."""

    app: App
    gunicorn: gunicorn.Settings
    gevent: gevent.Settings
    flask: flask.Settings

    @property
    def chosen(self) -> Server:
        """The settings of the server that serves the app."""
        servers: dict[str, Server] = {"gunicorn": self.gunicorn, "gevent": self.gevent, "flask": self.flask}
        return servers[self.app.server]


def resources(host: Host, s: Settings) -> Iterator[Resource]:  # noqa: ARG001 - every role has this form
    """Nothing beside the release."""
    yield from ()
