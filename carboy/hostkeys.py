"""Host keys: unknown ones are refused with their fingerprint, `trust` pins them."""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import sys
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
    """Give a client every pinned key, and refuse all others."""
    for path in (Path("/etc/ssh/ssh_known_hosts"), known_hosts(), SANDBOX_KEYS):
        if path.exists():
            client.load_system_host_keys(str(path))


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


def trust(host: Host, *, yes: bool) -> None:
    """Show a host's key and pin it, after a person has compared its fingerprint (or says so with `yes`)."""
    key = offered(host)
    print(f"{host.name} ({entry(host)}) shows {key.get_name()} {fingerprint(key)}", file=sys.stderr)
    if not yes and not _confirmed():
        raise UnreachableError("not pinned", where=f"host {host.name}", hint="nothing was written")
    print(f"pinned in {pin(host, key)}", file=sys.stderr)


def _confirmed() -> bool:
    print("is that the fingerprint on the host's console? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def pin(host: Host, key: paramiko.PKey) -> Path:
    """Write the key to known_hosts in place of older keys of the same host; returns the file."""
    path = known_hosts()
    path.parent.mkdir(mode=0o700, exist_ok=True)
    lines = path.read_text().splitlines() if path.exists() else []
    kept = [line for line in lines if line.split(" ", 1)[0] != entry(host)]
    path.write_text("\n".join([*kept, f"{entry(host)} {key.get_name()} {key.get_base64()}", ""]))
    return path
