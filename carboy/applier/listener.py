"""The public address: whether a new one can be had, before the old one is given up."""

from __future__ import annotations

import errno
import grp
import socket
from pathlib import Path
from typing import Dict

from carboy.applier import probe, systemd
from carboy.applier.resource import Failure


def claim(new: Path, old: Path) -> None:
    """Raise `Failure` if the socket unit `new` could not be started in the place of `old`."""
    wanted, held = _settings(new), _settings(old)
    _group(wanted.get("SocketGroup", "root"))
    listen = wanted["ListenStream"]
    if _port(listen) != _port(held.get("ListenStream", "")) and not listen.startswith("/"):
        _bind(listen)


def _settings(unit: Path) -> Dict[str, str]:
    return dict(line.partition("=")[::2] for line in systemd.said(unit)) if unit.exists() else {}


def _port(listen: str) -> str:
    return listen.rpartition(":")[2]


def _group(name: str) -> None:
    try:
        grp.getgrnam(name)
    except KeyError:
        hint = "create it, or correct systemd_socket_group"
        raise Failure("the public socket cannot belong to the group %s: there is none" % name, hint=hint) from None


def _bind(listen: str) -> None:
    host, port = probe.split(listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
            trial.listen()
        except OSError as problem:
            why = "another program listens there" if problem.errno == errno.EADDRINUSE else problem.strerror
            raise Failure("the public address %s cannot be opened: %s" % (listen, why), hint="see: ss -ltnp") from None
