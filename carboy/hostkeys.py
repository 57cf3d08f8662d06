"""Host keys: unknown ones are refused with their fingerprint, `trust` pins them."""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import paramiko

from carboy.errors import UnreachableError
from carboy.inventory import Host
from carboy.project import STATE

SANDBOX_KEYS = STATE / "known_hosts"
# Without a handler, what paramiko logs of a failed connection would stand on stderr beside the error itself.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


def known_hosts() -> Path:
    """Where people's own pinned keys live, shared with plain ssh."""
    return Path(os.path.expanduser("~/.ssh/known_hosts"))  # noqa: PTH111 - honours HOME, as ssh's own tools in tests need


def entry(host: Host) -> str:
    """The name under which a host is pinned: its address, with the port where that is not 22."""
    return host.address if host.port == 22 else f"[{host.address}]:{host.port}"


def fingerprint(key: paramiko.PKey) -> str:
    """The SHA-256 fingerprint, as ssh-keygen prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")


def load(client: paramiko.SSHClient) -> None:
    """Give a client every pinned key; of a host with several keys of one type the last one counts."""
    for path in (Path("/etc/ssh/ssh_known_hosts"), known_hosts(), SANDBOX_KEYS):
        for found in filter(None, map(_parsed, _lines(path))):
            for name in found.hostnames:
                client.get_host_keys().add(name, found.key.get_name(), found.key)


def _lines(path: Path) -> list[bytes]:
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [line for line in lines if not line.lstrip().startswith(b"#")]


def _parsed(line: bytes) -> Any:
    """The entry in a line of known_hosts; None for @markers and what else paramiko trips over."""
    try:
        return paramiko.hostkeys.HostKeyEntry.from_line(" ".join(line.decode().split()))
    except Exception:  # whatever the parser of this type of key stumbles over
        return None


class Refuse(paramiko.MissingHostKeyPolicy):
    """Refuse a host whose key nobody pinned, and say how to pin it."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def missing_host_key(self, client: Any, hostname: str, key: paramiko.PKey) -> None:  # noqa: ARG002 - paramiko's form
        """Called by paramiko for a host without any pinned key."""
        raise UnreachableError(
            f"the host key of {self.host.name} is not known: {key.get_name()} {fingerprint(key)}",
            where=f"host {self.host.name} ({entry(self.host)})",
            hint=f"compare the fingerprint with the host's console, then: invoke trust --host {self.host.name}",
        )


def offered(host: Host) -> paramiko.PKey:
    """The key that the host shows now, which proves nothing until a person has compared its fingerprint."""
    try:
        with paramiko.Transport((host.address, host.port)) as transport:
            transport.start_client(timeout=host.connect_timeout)
            return transport.get_remote_server_key()
    except (OSError, paramiko.SSHException) as problem:
        raise UnreachableError(
            f"no host key to be had: {problem}", where=f"host {host.name} ({entry(host)})"
        ) from problem


def trust(host: Host, *, yes: bool) -> dict[str, str]:
    """Show a host's key and pin it, after a person has compared its fingerprint (or says so with `yes`).

    Returns the event that says so.
    """
    key = offered(host)
    print(f"{host.name} ({entry(host)}) shows {key.get_name()} {fingerprint(key)}", file=sys.stderr)
    if not yes and not _confirmed():
        raise UnreachableError("not pinned", where=f"host {host.name}", hint="nothing was written")
    path = pin(host, key)
    print(f"pinned in {path}", file=sys.stderr)
    facts = {"name": entry(host), "type": key.get_name(), "fingerprint": fingerprint(key), "file": str(path)}
    return {"event": "pinned", **facts}


def _confirmed() -> bool:
    print("is that the fingerprint on the host's console? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def pin(host: Host, key: paramiko.PKey) -> Path:
    """Write the key to known_hosts in place of older keys of the same host; returns the file.

    As with `ssh-keygen -R` an older entry goes as a whole, the other names in it too; every other line stays as it is.
    """
    path = known_hosts()
    path.parent.mkdir(mode=0o700, exist_ok=True)
    lines = path.read_bytes().splitlines() if path.exists() else []
    kept = [line for line in lines if not _pins(line, entry(host))]
    new = f"{entry(host)} {key.get_name()} {key.get_base64()}".encode()
    _replace(path.resolve(), b"\n".join([*kept, new, b""]))
    return path


def _pins(line: bytes, name: str) -> bool:
    """Whether a line of known_hosts pins a key of that name; one that begins with an @marker or a remark pins none."""
    names = (line.split() or [b""])[0].decode("utf-8", "replace")
    return not names.startswith("#") and any(_is(pattern, name) for pattern in names.split(","))


def _is(pattern: str, name: str) -> bool:
    if not pattern.startswith("|1|"):
        return pattern == name
    try:
        return paramiko.HostKeys.hash_host(name, pattern) == pattern
    except (ValueError, AssertionError, IndexError):
        return False


def _replace(path: Path, data: bytes) -> None:
    """Write a file as a whole or not at all; it keeps its mode, a new one is its owner's alone."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as draft:
        draft.write(data)
    if path.exists():
        shutil.copymode(path, draft.name)
    Path(draft.name).replace(path)
