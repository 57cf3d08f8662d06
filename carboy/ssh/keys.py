"""The keys to log in with: the agent's and those in files, in ssh's order, each with its certificate if it has one."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from os import environ
from pathlib import Path
from typing import Any

import paramiko
from cryptography.hazmat.primitives import serialization
from paramiko.agent import AgentSSH
from paramiko.pkey import PublicBlob

from carboy.errors import CarboyError
from carboy.inventory import Host
from carboy.ssh import key_file
from carboy.ssh.endpoint import Endpoint, endpoint

CERTIFICATE = "-cert.pub"
SIGNED = "-cert-v01@openssh.com"


@dataclass(frozen=True)
class Key:
    """A key to offer; it is opened when its turn has come."""

    label: str
    public: bytes
    load: Callable[[], paramiko.PKey]
    """Raises `key_file.Unusable`."""
    asks: bool = False
    """Whether a person has to be asked for a passphrase."""


class Agent(AgentSSH):
    """A connection to the agent; without keys if there is no agent."""

    def __init__(self, end: Endpoint) -> None:
        super().__init__()
        path = _socket(end)
        if path:
            line = socket.socket(socket.AF_UNIX)
            try:
                line.connect(path)
                self._connect(line)  # type: ignore[attr-defined]
            except (OSError, paramiko.SSHException):
                line.close()

    def __enter__(self) -> Agent:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()  # type: ignore[attr-defined]


def _socket(end: Endpoint) -> str:
    """Where the agent listens, empty for none; ssh's configuration may name it, or the variable that does."""
    place = end.one("identityagent") or "SSH_AUTH_SOCK"
    if place == "SSH_AUTH_SOCK" or place.startswith("$"):
        return environ.get(place.removeprefix("$"), "")
    return "" if place == "none" else str(end.path(place))


def unseal(hosts: Iterable[Host]) -> None:
    """Open, in this process and once, the keys with a passphrase that logins to hosts ask for: forks then have them.

    Nothing is said of what goes wrong: whoever logs in will find out.
    """
    from carboy.ssh.connection import Connection  # here, because it leads back to this module

    for host in hosts:
        with suppress(CarboyError):
            # Only a host knows whether it takes the keys that come before.
            if not all(map(_decided, endpoint(host).way)):
                with Connection(host):
                    pass


def _decided(end: Endpoint) -> bool:
    """Whether nothing is left to ask for a login; a key that is the only one to try is opened at once."""
    with Agent(end) as agent:
        keys = offered(end, agent)
    asking = [key for key in keys if key.asks]
    if asking and {key.public for key in keys} == {asking[0].public}:
        with suppress(key_file.Unusable):
            asking[0].load()
        return True
    return not asking


def offered(end: Endpoint, agent: Agent) -> list[Key]:
    """The keys in the order in which to try them; those for which a person must be asked come last."""
    files = {file: key_file.public(file) for file in end.identities}
    held = {key.blob: key for key in agent.get_keys()}
    ours = [held[public] for public in files.values() if public in held]
    others = [] if end.key_file or end.one("identitiesonly") == "yes" else held.values()
    keys = [*map(_of_agent, {key.blob: key for key in (*ours, *others)}.values())]
    keys += [
        _of_file(end, file, public)
        for file, public in files.items()
        if public not in held and (file.exists() or end.key_file)
    ]
    certificates = dict(_certificates(end))
    return sorted((each for key in keys for each in _both(key, certificates)), key=lambda key: key.asks)


def _of_agent(key: Any) -> Key:
    if key.inner_key and key.name.endswith(SIGNED):
        # Of such a certificate paramiko would show only the key in it.
        key.public_blob = PublicBlob(key.name, key.blob)
    return Key(f"{key.comment} (agent)", key.blob, lambda: key)


def _of_file(end: Endpoint, file: Path, public: bytes) -> Key:
    asks = not end.passphrase and key_file.sealed(file)
    return Key(str(file), public, partial(key_file.opened, file, end.passphrase), asks)


def _both(key: Key, certificates: dict[bytes, PublicBlob]) -> Iterator[Key]:
    """The key with its certificate, and alone."""
    if key.public in certificates:
        yield replace(key, label=f"{key.label} with its certificate", load=partial(_signed, key, certificates))
    yield key


def _signed(key: Key, certificates: dict[bytes, PublicBlob]) -> paramiko.PKey:
    made = copy(key.load())
    made.public_blob = certificates[key.public]
    return made


def _certificates(end: Endpoint) -> Iterable[tuple[bytes, PublicBlob]]:
    """The certificates beside key files, and those that ssh's configuration names, by the key that each is for."""
    named = [] if end.key_file else [end.path(file) for file in end.settings.get("certificatefile", ())]
    for file in (*named, *(path.with_name(path.name + CERTIFICATE) for path in end.identities)):
        with suppress(OSError, ValueError, IndexError):
            found = serialization.load_ssh_public_identity(file.read_bytes())
            if isinstance(found, serialization.SSHCertificate):
                yield key_file.blob(found.public_key()), PublicBlob.from_file(str(file))
