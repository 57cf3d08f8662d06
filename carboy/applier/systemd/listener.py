"""The public socket: opened, opened anew where a release wants it elsewhere, and whether that can be had at all."""

from __future__ import annotations

import errno
import grp
import socket
from pathlib import Path
from typing import Dict, Iterable, List

from carboy.applier import probe
from carboy.applier.resource import Failure
from carboy.applier.systemd import journal, systemctl
from carboy.applier.systemd.units import Units

OPEN, OPEN_ALONE = 0, 3
# One command, which goes on to its end if the run is killed: in between nobody new is let in.
SCRIPT = """anew=$1 socket=$2; shift 2
[ $anew = no ] || systemctl stop "$socket"
systemctl start "$socket" && exit 0
[ $# -gt 0 ] && systemctl stop "$@" && systemctl start "$socket" && exit 3
exit 1"""


def moves(units: Units, release: str) -> bool:
    """Whether a release wants another public socket: its unit says other things than the installed one."""
    own, place = _unit(units, release)
    return place.exists() and _said(place) != _said(own)


def check(units: Units, release: str, serving: List[str]) -> None:
    """Raise `Failure` if the public socket cannot be had as a release wants it; what serves gives way."""
    gates = [units.store.record(name).get("gate", {}) for name in serving]
    claim(*_unit(units, release), ours={_port(gate.get("listen", "")) for gate in gates})


def open_for(units: Units, release: str, running: List[str], anew: bool) -> bool:
    """Open the public socket, which needs to know a release; False if what ran held its address and had to end.

    Opened anew it may be another one; what runs keeps the old one until it ends.
    """
    host = units.store.host
    units.choose(release)
    done = host.call("sh", "-c", SCRIPT, "open", "yes" if anew else "no", units.socket, *running).returncode
    if done not in (OPEN, OPEN_ALONE):
        raise _unopened(units, release)
    if done == OPEN_ALONE:
        host.say("what served held the public address and was stopped")
    return done == OPEN


def _unopened(units: Units, release: str) -> Failure:
    host, listen = units.store.host, units.store.record(release)["gate"]["listen"]
    if not listen.startswith("/"):
        _bind(listen)
    said = journal.journal(host, "-n", "5", "-u", units.socket).strip()
    return Failure("the public address %s cannot be opened" % listen, details=said, hint="see: ss -ltnp")


def claim(new: Path, old: Path, ours: Iterable[str] = ()) -> None:
    """Raise `Failure` if the socket unit `new` could not be started in the place of `old`; `ours` are held ports."""
    wanted, held = _settings(new), _settings(old)
    _group(wanted.get("SocketGroup", "root"))
    listen = wanted["ListenStream"]
    if _port(listen) not in {_port(held.get("ListenStream", "")), *ours} and not listen.startswith("/"):
        _bind(listen)


def _unit(units: Units, release: str) -> "tuple[Path, Path]":
    """The unit file of the public socket as the release brings it, and where it is installed."""
    place = units.store.host.at("%s/%s" % (systemctl.UNITS, units.socket))
    return units.files(release)[place], place


def _settings(unit: Path) -> Dict[str, str]:
    return dict(line.partition("=")[::2] for line in _said(unit)) if unit.exists() else {}


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


def _said(path: Path) -> List[str]:
    """What a unit file says to systemd: its lines without comments."""
    return [line for line in path.read_text().splitlines() if line and line[0] not in "#;"]
