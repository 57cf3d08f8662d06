"""Whether the key that a host shows is one that somebody has pinned; any other is refused."""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Iterable, Sequence

import paramiko
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, ssh

from carboy.errors import UnreachableError
from carboy.ssh.endpoint import Endpoint
from carboy.ssh.known import AUTHORITY, REVOKED, Pin, fingerprint, fits

# Without a handler, what paramiko logs of a failed connection would stand on stderr beside the error itself.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
CERTIFICATE = "-cert-v01@openssh.com"
SIGNATURES = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
"""Where a type of key has other names when it signs."""


def preferred(known: Iterable[str], pinned: Sequence[Pin]) -> list[str]:
    """The order in which to ask for keys: first the types that are pinned, of which a host may well have others too."""
    kinds = [name for pin in pinned if not pin.marker for name in SIGNATURES.get(pin.kind, (pin.kind,))]
    plain = list(known)
    signed = [f"{kind}{CERTIFICATE}" for kind in plain] if any(pin.marker == AUTHORITY for pin in pinned) else []
    first = [*signed, *(kind for kind in dict.fromkeys(kinds) if kind in plain)]
    return [*first, *(kind for kind in plain if kind not in first)]


def check(end: Endpoint, key: paramiko.PKey, pinned: Sequence[Pin]) -> str:
    """Raise UnreachableError unless the key that a host shows is pinned, itself or by who signed it; returns where."""
    blob = key.asbytes()
    revoked = next((pin for pin in pinned if pin.marker == REVOKED and pin.blob == blob), None)
    if revoked:
        what = f"the host key of {end.title} is revoked: {_shown(key)}"
        raise UnreachableError(what, where=end.where, hint=f"give the host a new key; it is revoked in {revoked.place}")
    pin = next((pin for pin in pinned if not pin.marker and pin.blob == blob), None)
    if pin:
        return f"{_shown(key)}, pinned in {pin.place}"
    problem = _uncertified(end, key, pinned)
    if problem:
        raise _refusal(end, key, pinned, problem)
    return f"{_shown(key)}, signed by an authority"


def _refusal(end: Endpoint, key: paramiko.PKey, pinned: Sequence[Pin], problem: str) -> UnreachableError:
    plain = [pin for pin in pinned if not pin.marker]
    if plain:
        other = f"another one is pinned in {plain[0].place}"
        what = f"the host key of {end.title} has CHANGED: it shows {_shown(key)}, {other}"
        hint = f"if the host was made anew: invoke trust --host {end.host}; if not, somebody is in between"
    elif any(pin.marker == AUTHORITY for pin in pinned):
        what = f"the host key of {end.title} is not known: {_shown(key)}; {problem}"
        hint = f"have the authority sign the host's key, or pin that: invoke trust --host {end.host}"
    else:
        what = f"the host key of {end.title} is not known: {_shown(key)}"
        hint = f"compare the fingerprint with the host's console, then: invoke trust --host {end.host}"
    return UnreachableError(what, where=f"{end.where}, {end.pin_name} in known_hosts", hint=hint)


def _shown(key: paramiko.PKey) -> str:
    return f"{key.get_name()} {fingerprint(key.asbytes())}"


def _uncertified(end: Endpoint, key: paramiko.PKey, pinned: Sequence[Pin]) -> str:
    """Why no authority stands for the key; empty if one does."""
    if not key.public_blob:
        return "it is signed by no authority"
    text = f"{key.public_blob.key_type} {base64.b64encode(key.public_blob.key_blob).decode()}"
    try:
        found = ssh.load_ssh_public_identity(text.encode())
        assert isinstance(found, ssh.SSHCertificate)
        found.verify_cert_signature()
    except (ValueError, TypeError, InvalidSignature) as problem:
        return f"its certificate cannot be used: {problem or type(problem).__name__}"
    return _judged(end, found, pinned)


def _judged(end: Endpoint, found: ssh.SSHCertificate, pinned: Sequence[Pin]) -> str:
    signer = base64.b64decode(found.signature_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split()[1])
    authorities = {pin.marker for pin in pinned if pin.blob == signer}
    name = end.one("hostkeyalias") or end.address
    if AUTHORITY not in authorities or REVOKED in authorities:
        return f"its certificate is signed by {fingerprint(signer)}, which is no authority for it"
    if found.type is not ssh.SSHCertificateType.HOST or found.critical_options:
        return "its certificate is none for a host"
    if not found.valid_after <= time.time() < found.valid_before:
        return "its certificate has expired, or is not valid yet"
    if not any(fits(each.decode("utf-8", "replace"), name) for each in found.valid_principals):
        return f"its certificate is not for {name}"
    return ""
