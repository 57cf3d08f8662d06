"""What the servers have in common that are programs of Carboy's: the app is found, served on all sockets, and ended."""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from carboy_logs import Logs, log
from carboy_sockets import Waiting, sockets

ARRIVAL_SECONDS = 2.0
"""How long the first request of a connection may be under way when the end has come."""
LOOK_SECONDS = 0.2


class WsgiNameError(Exception):
    """The name of the app leads to nothing that could be served."""


@dataclass(frozen=True)
class Settings:
    """The file server.json beside this one."""

    bind: str
    logs: str
    log_level: str
    backlog: int
    stop_timeout: float
    proxied: dict[str, bool] | None
    options: dict[str, Any]


class Listener(Protocol):
    """What accepts connections from one socket, and has the app answer their requests."""

    new: Waiting

    def start(self) -> None:
        """Begin to accept connections."""

    def end(self) -> None:
        """Accept no more, and let go of connections that are idle."""

    def join(self, seconds: float) -> int:
        """Wait for so long until no connection is left, and say how many are."""


Maker = Callable[[socket.socket, Any, Settings, Logs], Listener]


def run(make: Maker) -> None:
    """Serve the app that the command line names until TERM comes."""
    settings = Settings(**json.loads(Path(__file__).with_name("server.json").read_text(encoding="utf-8")))
    logs = _logs(settings)
    # Before the app is imported, which may take long: a rotation meanwhile would end the process.
    signal.signal(signal.SIGUSR1, lambda *_: logs.reopen())
    try:
        listeners = _listeners(make, settings, logs)
    except Exception:
        log.critical("%s cannot be served", sys.argv[1], exc_info=True)
        sys.exit(1)
    _serve(listeners, settings.stop_timeout)


def _logs(settings: Settings) -> Logs:
    try:
        return Logs(os.environ.get("CARBOY_LOGS", settings.logs), settings.log_level)
    except OSError as error:
        sys.exit(f"the log {error.filename} cannot be opened: {error.strerror}")


def _listeners(make: Maker, settings: Settings, logs: Logs) -> list[Listener]:
    wrap = partial(importlib.import_module("carboy_proxied").Proxied, **settings.proxied) if settings.proxied else None
    # The app's own modules, and not those beside this one: what counts is where the process was started.
    sys.path[0] = str(Path.cwd())
    app = load(sys.argv[1])
    served = wrap(app) if wrap else app
    address = os.environ.get("CARBOY_BIND", settings.bind)
    return [make(each, served, settings, logs) for each in sockets(address, settings.backlog)]


def load(name: str) -> Any:
    """The app that `package.module:object` names, `object()` if it is to be called; raises `WsgiNameError`."""
    module, _, wanted = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in (wanted or "application").removesuffix("()").split("."):
        if not hasattr(found, part):
            raise WsgiNameError(f"app_wsgi names {part}, which is not in {module}")
        found = getattr(found, part)
    app = found() if wanted.endswith("()") else found
    if not callable(app):
        raise WsgiNameError(f"app_wsgi names {wanted} in {module}, which is no WSGI app: it cannot be called")
    return app


def _serve(listeners: list[Listener], stop_timeout: float) -> None:
    ends: SimpleQueue[int] = SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda which, _: ends.put(which))
    for each in listeners:
        each.start()
    log.info("serving %s", sys.argv[1])
    notify("READY=1")
    log.info("ending on %s", signal.Signals(_awaited(ends)).name)
    notify("STOPPING=1")
    left = _end(listeners, stop_timeout)
    if left:
        log.warning("%d connections were cut off after %g s", left, stop_timeout)


def _awaited(ends: SimpleQueue[int]) -> int:
    """The signal to end; looked for again and again, since Python overlooks one that comes just before it waits."""
    while True:
        with suppress(Empty):
            return ends.get(timeout=LOOK_SECONDS)


def _end(listeners: list[Listener], seconds: float) -> int:
    """Accept no more, let what is in flight finish for so long, and say how many connections are left."""
    began = time.monotonic()
    for each in listeners:
        each.end()
    _join(listeners, began + min(seconds, ARRIVAL_SECONDS))
    for each in listeners:
        each.new.end()
    return _join(listeners, began + seconds)


def _join(listeners: list[Listener], until: float) -> int:
    return sum(each.join(max(0.0, until - time.monotonic())) for each in listeners)


def notify(state: str) -> None:
    """Tell the service manager, where there is one."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, suppress(OSError):
            manager.sendto(state.encode(), f"\0{address[1:]}" if address.startswith("@") else address)
