"""The verb trust: shows the fingerprint of a host's key, and of each jump on the way, and pins the key."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import paramiko

from carboy.errors import CarboyError, UnreachableError
from carboy.fleet.run import Run
from carboy.inventory import Host
from carboy.ssh import hostkeys, known
from carboy.ssh.endpoint import Endpoint, endpoint
from carboy.ssh.known import Pin, fingerprint
from carboy.ssh.route import Route

Event = dict[str, str]


def trust_all(run: Run, hosts: Iterable[Host], *, yes: bool) -> None:
    """Pin the keys of hosts, one after the other; what keeps one from it is told, and the others follow."""
    for host in hosts:
        try:
            for event in trust(host, yes=yes):
                run.say(host.name, event)
        except CarboyError as error:
            run.codes[host.name] = error.exit_code
            run.fail(host.name, error)


def trust(host: Host, *, yes: bool) -> list[Event]:
    """Pin the keys of a host and its jumps, after a person has compared each fingerprint (or says so with `yes`).

    Returns an event for each. What is pinned already is neither shown nor asked for again.
    """
    return [event for end in endpoint(host).way for event in _trusted(end, yes=yes)]


def _trusted(end: Endpoint, *, yes: bool) -> Iterator[Event]:
    key = offered(end)
    facts = {"name": end.pin_name, "type": key.get_name(), "fingerprint": fingerprint(key.asbytes())}
    pinned = known.pins(end)
    hostkeys.refuse_revoked(end, key, pinned)
    if _is_pinned(end, key, pinned):
        if not end.is_jump:
            yield {"event": "pinned", **facts, "file": ""}
        return
    print(f"{end.title} ({end.pin_name}) shows {facts['type']} {facts['fingerprint']}", file=sys.stderr)
    for other in [pin for pin in pinned if not pin.marker]:
        print(f"ANOTHER key is pinned in {other.place}: {other.kind} {fingerprint(other.blob)}", file=sys.stderr)
    if not yes and not _confirmed():
        raise UnreachableError("not pinned", where=end.where, hint="nothing was written")
    path = pin(end, key)
    print(f"pinned in {path}", file=sys.stderr)
    yield {"event": "pinned", **facts, "file": str(path)}


def offered(end: Endpoint) -> paramiko.PKey:
    """The key that an sshd shows now, which proves nothing until a person has compared its fingerprint."""
    with closing(Route()) as route:
        return route.greet(end).get_remote_server_key()


def _is_pinned(end: Endpoint, key: paramiko.PKey, pinned: Sequence[Pin]) -> bool:
    try:
        hostkeys.check(end, key, pinned)
    except UnreachableError:
        return False
    return True


def _confirmed() -> bool:
    print("is that the fingerprint on the host's console? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def pin(end: Endpoint, key: paramiko.PKey) -> Path:
    """Write a key to known_hosts in place of older keys of the same name; returns the file.

    As with `ssh-keygen -R` an older entry goes as a whole, the other names in it too; every other line stays as it is.
    """
    path = end.known_hosts[0]
    path.parent.mkdir(mode=0o700, exist_ok=True)
    lines = path.read_bytes().splitlines() if path.exists() else []
    kept = [line for line in lines if not known.names(line, end.pin_name)]
    new = f"{end.pin_name} {key.get_name()} {key.get_base64()}".encode()
    _replace(path.resolve(), b"\n".join([*kept, new, b""]))
    return path


def _replace(path: Path, data: bytes) -> None:
    """Write a file as a whole or not at all; it keeps its mode, a new one is its owner's alone."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as draft:
        draft.write(data)
    if path.exists():
        shutil.copymode(path, draft.name)
    Path(draft.name).replace(path)
