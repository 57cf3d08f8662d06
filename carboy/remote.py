"""One run on one host: the payload goes in, events come out, and what the host lacks is handed to it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from carboy.applier.stream import MARKER
from carboy.errors import CarboyError, FailedError, OutcomeUnknownError, UnreachableError
from carboy.inventory import Host
from carboy.payload import BOOT
from carboy.ssh.root import NO_PYTHON, NO_SUDO, SUDO_MISSING
from carboy.transport import Channel, Way, way_to

Event = dict[str, Any]
Need = dict[str, Any]
Answer = Callable[[Need], bytes]
NOISE_LINES = 5
PIECE = 1 << 18
FIELDS: dict[str, dict[str, type]] = {
    "want": {"needs": list},
    "end": {"exit": int},
    "failed": {"what": str, "details": str, "hint": str},
    "begin": {"run": str},
    "progress": {"text": str},
    "resource": {"resource": str, "status": str},
    "finding": {"subject": str, "state": str, "text": str, "hint": str},
}
"""What an event of a kind must have to be one: a host can say anything."""
EXITS = range(7)
BUSY_SECONDS = 5
DEFAULT_PYTHON = "python3"
INSTALL_PYTHON = (
    "apt-get -qq -o DPkg::Lock::Timeout=120 update; apt-get -qq -o DPkg::Lock::Timeout=120 install -y python3"
)


def conduct(host: Host, payload: Callable[[], bytes], answer: Answer, sink: Callable[[Event], None]) -> int:
    """Run a payload on a host over one connection and one exec; returns the exit code that the host decided.

    Every event but `want` goes to `sink`; raises `UnreachableError` if the host could not be asked, and
    `OutcomeUnknownError` if it was, but nobody said how it ended.
    """
    with way_to(host) as way:
        try:
            return converse(way, payload(), answer, sink)
        except NoPython:
            if host.python != DEFAULT_PYTHON:
                raise
            sink({"event": "progress", "text": "the host has no python3: installing it with apt"})
            _install_python(way)
            return converse(way, payload(), answer, sink)


class NoRoot(UnreachableError):
    """The user who logs in cannot become root."""


class NoPython(UnreachableError):
    """The host has no Python to run the applier with."""


def converse(way: Way, payload: bytes, answer: Answer, sink: Callable[[Event], None]) -> int:
    """The same over a connection that is open."""
    channel = way.start_as_root([way.host.python, "-I", "-S", "-c", BOOT], payload)
    lines: Iterator[bytes] = iter(channel.makefile("rb"))
    for event in _events(way, channel, lines):
        if event["event"] == "want":
            _hand_over(channel, event["needs"], answer)
            continue
        sink(event)
        if event["event"] == "end":
            # The last one: the host's Python takes a moment to go, for which nobody need wait.
            return int(event["exit"])
    raise OutcomeUnknownError(
        "the connection ended before the host said how the run ended: outcome unknown",
        where=way.where,
        hint="try again",
    )


def _events(way: Way, channel: Channel, lines: Iterator[bytes]) -> Iterator[Event]:
    """The events after the marker; what a login shell printed before it is kept for the error message only."""
    noise: list[str] = []
    for line in lines:
        if line.strip() == MARKER.encode():
            break
        noise.append(line.decode("utf-8", "replace").rstrip())
    else:
        raise _not_started(way, channel, noise)
    yield from filter(None, map(_event, lines))


def _event(line: bytes) -> Event | None:
    """One event; None for half a line, which a cut leaves behind, and for what another program of the host printed."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and _whole(found) else None


def _whole(found: dict[str, Any]) -> bool:
    kind = found.get("event")
    if not isinstance(kind, str) or (kind == "end" and found.get("exit") not in EXITS):
        return False
    return all(isinstance(found.get(name), wanted) for name, wanted in FIELDS.get(kind, {}).items())


def _not_started(way: Way, channel: Channel, noise: list[str]) -> Exception:
    """Why no applier answered: the exit code tells, the words only go into the message."""
    said = channel.makefile_stderr("rb").read().decode("utf-8", "replace").splitlines()
    where = way.where
    code = channel.recv_exit_status()
    if code == NO_PYTHON:
        return NoPython(f"the host has no {way.host.python}", where=where, hint="correct ansible_python_interpreter")
    if code in (SUDO_MISSING, NO_SUDO):
        return _no_root(way, sudo=code == NO_SUDO)
    words = " / ".join([*said, *noise][-NOISE_LINES:]) or "nothing was said"
    if code == -1:
        return OutcomeUnknownError(
            f"the connection ended before the host was heard: outcome unknown: {words}", where=where, hint="try again"
        )
    return UnreachableError(f"the host's python3 did not start (exit {code}): {words}", where=where, hint=_by_hand(way))


def _no_root(way: Way, *, sudo: bool) -> Exception:
    host, where = way.host, way.where
    if not sudo:
        hint = f"install sudo on {host.name}, or log in as root"
        return NoRoot("no root: the host has no sudo", where=where, hint=hint)
    why = "refused the password" if host.become_password is not None else "wants a password"
    hint = f"set ansible_become_password for {host.name}, or give {way.user} NOPASSWD in sudoers"
    return NoRoot(f"no root: sudo {why}", where=where, hint=hint)


def _by_hand(way: Way) -> str:
    return f"try: {way.by_hand(f'{way.host.python} --version')}"


def _hand_over(channel: Channel, needs: list[Need], answer: Answer) -> None:
    """Send what the host asked for; if something cannot be had, the host gets nothing and changes nothing."""
    try:
        for need in needs:
            # Bytes are at hand; a question about packages may take minutes.
            with nullcontext() if "blob" in need else _busy(channel):
                data = _had(answer, need)
            channel.sendall(b"%d\n" % len(data))
            # In pieces, because paramiko copies all that is left with every packet it sends.
            for at in range(0, len(data), PIECE):
                channel.sendall(data[at : at + PIECE])
    except CarboyError:
        channel.shutdown_write()
        raise
    except (OSError, EOFError):
        # The host went away; reading its last events tells why.
        return


def _had(answer: Answer, need: Need) -> bytes:
    try:
        return answer(need)
    except OSError as problem:
        what = f"what the host asked for cannot be read here: {problem}"
        raise FailedError(
            what, hint="was a file changed meanwhile? nothing was changed on the host: try again"
        ) from problem


@contextmanager
def _busy(channel: Channel) -> Iterator[None]:
    """Tell the host every few seconds that its answer is being looked for: it gives up on whoever is silent."""
    found = threading.Event()

    def tell() -> None:
        with suppress(OSError, EOFError):
            while not found.wait(BUSY_SECONDS):
                channel.sendall(b"\n")

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        found.set()
        # Never between the lines of an answer.
        teller.join()


def _install_python(way: Way) -> None:
    channel = way.start_as_root(["sh", "-c", INSTALL_PYTHON])
    channel.shutdown_write()
    said = channel.makefile("rb").read() + channel.makefile_stderr("rb").read()
    if channel.recv_exit_status():
        last = said.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise FailedError(
            f"the host has no python3 and apt could not install it: {' '.join(last)}",
            where=way.where,
            hint="install python3 (3.9 or newer) on the host, then deploy again",
        )
