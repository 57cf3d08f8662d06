"""Private keys in files: opened once a run, whatever their type and format, and however many hosts want them."""

from __future__ import annotations

import base64
import binascii
import io
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from carboy.ssh import prompt

TRIES = 3
MAGIC = b"openssh-key-v1\0"
OPENSSH = (serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)

# One person, one terminal: questions of several hosts must not mix, and the answer to one serves the others.
_one_at_a_time = threading.Lock()
_opened: dict[tuple[Path, str | None], paramiko.PKey | str] = {}
"""What came of each passphrase, of asking for one where it says None: the key, or why there is none."""


class Unusable(Exception):
    """A key that cannot be used, and why."""


def public(file: Path) -> bytes:
    """The public half of a key file, so that it can be found in an agent; empty if that cannot be told."""
    for path in (file.with_name(f"{file.name}.pub"), file):
        with suppress(OSError, ValueError, IndexError, UnsupportedAlgorithm):
            return blob(serialization.load_ssh_public_key(path.read_bytes()))
    return _container(_bytes(file))[1]


def blob(key: serialization.SSHPublicKeyTypes) -> bytes:
    """A public key as it travels."""
    return base64.b64decode(key.public_bytes(*OPENSSH).split()[1])


def sealed(file: Path) -> bool:
    """Whether only a passphrase opens a key that was not opened yet."""
    return (file, None) not in _opened and _wants_passphrase(_bytes(file))


def _wants_passphrase(data: bytes) -> bool:
    return _container(data)[0] not in ("", "none") or b"ENCRYPTED" in data


def opened(file: Path, passphrase: str | None) -> paramiko.PKey:
    """The key in a file, whose passphrase is asked for if it has one that is not known; raises `Unusable`."""
    with _one_at_a_time:
        if (file, passphrase) not in _opened:
            _opened[file, passphrase] = _open(file, passphrase)
        found = _opened[file, passphrase]
        if not isinstance(found, str):
            # Who has no passphrase in the inventory need not ask any more.
            _opened[file, None] = found
    if isinstance(found, str):
        raise Unusable(found)
    return found


def _open(file: Path, passphrase: str | None) -> paramiko.PKey | str:
    try:
        data = file.read_bytes()
        if not _wants_passphrase(data):
            return _key(data, None)
        return next((key for key in _attempts(data, file, passphrase) if key), "its passphrase is not known")
    except Unusable as problem:
        return str(problem)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm, paramiko.SSHException) as problem:
        return f"it is no private key that can be read: {problem or type(problem).__name__}"


def _attempts(data: bytes, file: Path, passphrase: str | None) -> Iterator[paramiko.PKey | str | None]:
    """What comes of each passphrase: None for a wrong one."""
    for given in _passphrases(file) if passphrase is None else [passphrase]:
        if not given:
            return
        try:
            yield _key(data, given.encode())
        except ValueError:
            yield None
    if passphrase is not None:
        yield "the passphrase in the inventory does not open it"


def _passphrases(file: Path) -> Iterator[str]:
    if not prompt.possible():
        hint = f"load it into ssh-agent: eval $(ssh-agent); ssh-add {file}"
        raise Unusable(f"it has a passphrase, and there is no terminal to ask for it; {hint}")
    for _ in range(TRIES):
        try:
            yield prompt.ask(f"passphrase of {file}: ")
        except EOFError as end:
            raise Unusable("no passphrase was given") from end


def _key(data: bytes, passphrase: bytes | None) -> paramiko.PKey:
    """The key in paramiko's form, which by itself reads fewer formats and takes each key for one of every type."""
    try:
        found = serialization.load_ssh_private_key(data, passphrase)
    except ValueError:
        found = serialization.load_pem_private_key(data, passphrase)  # type: ignore[assignment]
    kinds = {RSAPrivateKey: paramiko.RSAKey, Ed25519PrivateKey: paramiko.Ed25519Key}
    kind: Any = next((ours for theirs, ours in kinds.items() if isinstance(found, theirs)), paramiko.ECDSAKey)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
    made: paramiko.PKey = kind.from_private_key(io.StringIO(found.private_bytes(*form).decode()))
    return made


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _container(data: bytes) -> tuple[str, bytes]:
    """Cipher and public key of OpenSSH's own format, which says both in clear; empty for any other."""
    body = b"".join(line for line in data.splitlines() if not line.startswith(b"-----"))
    try:
        message = paramiko.Message(base64.b64decode(body, validate=True))
        if message.get_bytes(len(MAGIC)) != MAGIC:
            return ("", b"")
        cipher, _, _, _ = message.get_text(), message.get_text(), message.get_binary(), message.get_int()
        return (cipher, message.get_binary())
    except (binascii.Error, ValueError, paramiko.SSHException):
        return ("", b"")
