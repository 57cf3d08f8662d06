"""The public socket: opened, opened anew where a release wants it elsewhere, and whether that can be had at all."""

from __future__ import annotations

import errno
import grp
import socket
from pathlib import Path
from typing import Dict, List

from carboy.applier import probe, systemd
from carboy.applier.resource import Failure
from carboy.applier.units import Units


def moves(units: Units, release: str) -> bool:
    """Whether a release wants another public socket: its unit says other things than the installed one."""
    own, place = _unit(units, release)
    return place.exists() and systemd.said(place) != systemd.said(own)


def close(units: Units, release: str) -> None:
    """Take the public socket down to have it as the release wants it; what runs keeps the old one until it ends."""
    own, place = _unit(units, release)
    claim(own, place)
    units.store.host.run("systemctl", "stop", units.socket)


def open_for(units: Units, release: str, running: List[str]) -> bool:
    """Start the public socket, which needs to know a release; False if what ran held its address and had to end."""
    host = units.store.host
    units.choose(release)
    start = ("systemctl", "start", units.socket)
    if not host.call(*start).returncode:
        return True
    if running:
        host.say("what serves holds the public address: stopping it first")
        host.run("systemctl", "stop", *running)
    if not running or host.call(*start).returncode:
        listen = units.store.record(release)["gate"]["listen"]
        if not listen.startswith("/"):
            _bind(listen)
        host.call("journalctl", "--sync")
        said = host.call("journalctl", "-q", "-o", "cat", "-n", "5", "-u", units.socket).stdout.strip()
        raise Failure("the public address %s cannot be opened" % listen, details=said, hint="see: ss -ltnp")
    return False


def claim(new: Path, old: Path) -> None:
    """Raise `Failure` if the socket unit `new` could not be started in the place of `old`."""
    wanted, held = _settings(new), _settings(old)
    _group(wanted.get("SocketGroup", "root"))
    listen = wanted["ListenStream"]
    if _port(listen) != _port(held.get("ListenStream", "")) and not listen.startswith("/"):
        _bind(listen)


def _unit(units: Units, release: str) -> "tuple[Path, Path]":
    """The unit file of the public socket as the release brings it, and where it is installed."""
    place = units.store.host.at("%s/%s" % (systemd.UNITS, units.socket))
    return units.files(release)[place], place


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
