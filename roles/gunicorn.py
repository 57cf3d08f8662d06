"""gunicorn as the app's server: its configuration and its access log are part of each release."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from carboy.applier.resource import Blob, Resource
from carboy.inventory import Host
from carboy.template import template
from roles.app import Settings as App
from roles.gevent import GEVENT

GUNICORN = "gunicorn==27.0.1"


@dataclass(frozen=True)
class Settings:
    """`gunicorn_*`, named as gunicorn names them; times in whole seconds."""

    app: App
    workers: int | Literal["auto"] = "auto"
    worker_class: Literal["gevent", "gthread", "sync"] = "gevent"
    worker_connections: int = 2000
    threads: int = 1
    preload: bool = True
    timeout: int = 30
    keepalive: int = 5
    max_requests: int = 0
    max_requests_jitter: int = 0
    backlog: int = 2048
    log_level: Literal["debug", "info", "warning", "error", "critical"] = "info"

    @property
    def log_dir(self) -> str:
        """Where the logs are written."""
        return self.app.logs

    @property
    def command(self) -> str:
        """What starts the app, to be run in a release whose folder is %r."""
        return f"%r/venv/bin/python -m gunicorn --config %r/gunicorn.conf.py {self.app.wsgi}"

    @property
    def requires(self) -> tuple[str, ...]:
        """What this server is made of, where the app does not name it."""
        # Without its extra the worker lacks a package, and is said not to exist.
        return (GUNICORN.replace("==", "[gevent]=="), GEVENT) if self.worker_class == "gevent" else (GUNICORN,)

    @property
    def candidate(self) -> dict[str, str]:
        """Environment of a candidate: its logs go to the journal, apart from those of the release that serves."""
        return {"GUNICORN_CMD_ARGS": "--access-logfile=- --error-logfile=-"}

    def files(self) -> dict[str, tuple[str, Blob]]:
        """What a release carries for gunicorn, by path, with the mode."""
        return {
            "gunicorn.conf.py": ("0644", template("gunicorn/gunicorn.conf.py.j2", s=self)),
            "carboy_access_log.py": ("0644", template("servers/carboy_access_log.py")),
            "carboy_gunicorn.py": ("0644", template("gunicorn/carboy_gunicorn.py")),
            "carboy_workers.py": ("0644", template("gunicorn/workers.py")),
        }

    def validate(self) -> Iterator[tuple[str, str]]:
        """What the types cannot say."""
        for name in ("workers", "worker_connections", "threads", "timeout", "backlog"):
            value = getattr(self, name)
            if value != "auto" and value < 1:
                yield name, f"{value} must be at least 1"


def resources(host: Host, s: Settings) -> Iterator[Resource]:  # noqa: ARG001 - every role has this form
    """Nothing beside the release."""
    yield from ()
