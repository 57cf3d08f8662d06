"""Whether the key that a host shows is one that somebody has pinned; any other is refused."""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Iterable, Sequence

import paramiko
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, ssh

from carboy.errors import DeclarationError, UnreachableError
from carboy.ssh.endpoint import Endpoint
from carboy.ssh.known import AUTHORITY, REVOKED, Pin, fingerprint, fits

# Without a handler, what paramiko logs of a failed connection would stand on stderr beside the error itself.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
CERTIFICATE = "-cert-v01@openssh.com"
SIGNATURES = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
"""Where a type of key has other names when it signs."""

BY_AUTHORITIES = (*(f"ecdsa-sha2-nistp{bits}" for bits in (256, 384, 521)), "ssh-ed25519", *SIGNATURES["ssh-rsa"])
"""What a certificate may be signed with: what ssh takes by default. Its configuration may allow less, never more."""


def preferred(end: Endpoint, known: Iterable[str], pinned: Sequence[Pin]) -> list[str]:
    """The order in which to ask for keys: first the types that are pinned, of which a host may well have others too."""
    plain, markers = list(known), {pin.marker for pin in pinned}
    kinds = [name for pin in pinned if not pin.marker for name in SIGNATURES.get(pin.kind, (pin.kind,))]
    kinds = [kind for kind in dict.fromkeys(kinds) if kind in plain]
    # Whether an authority is revoked shows only in a certificate.
    certified = plain if AUTHORITY in markers else kinds if REVOKED in markers else []
    order = [*(f"{kind}{CERTIFICATE}" for kind in certified), *kinds, *plain]
    allowed = end.one("hostkeyalgorithms").split(",")
    found = [kind for kind in dict.fromkeys(order) if allowed == [""] or kind in allowed]
    if not found:
        what = f"HostKeyAlgorithms of ssh's configuration leaves none of {', '.join(plain)}"
        raise DeclarationError(what, where=end.where, hint=f"allow one of them for {end.name}")
    return found


def check(end: Endpoint, key: paramiko.PKey, pinned: Sequence[Pin]) -> str:
    """Raise UnreachableError unless the key that a host shows is pinned, itself or by who signed it; returns where."""
    refuse_revoked(end, key, pinned)
    least = int(end.one("requiredrsasize") or 0)
    if isinstance(key, paramiko.RSAKey) and key.get_bits() < least:
        what = f"the host key of {end.title} is too short: {_shown(key)} has {key.get_bits()} bits"
        raise UnreachableError(what, where=end.where, hint=f"ssh's configuration has RequiredRSASize {least}")
    pin = next((pin for pin in pinned if not pin.marker and pin.blob == key.asbytes()), None)
    if pin:
        return f"{_shown(key)}, pinned in {pin.place}"
    problem = _uncertified(end, key, pinned)
    if problem:
        raise _refusal(end, key, pinned, problem)
    return f"{_shown(key)}, signed by an authority"


def refuse_revoked(end: Endpoint, key: paramiko.PKey, pinned: Sequence[Pin]) -> None:
    """Raise UnreachableError if the key that a host shows is revoked, or who signed it."""
    found = _certificate(key)
    shown = {key.asbytes(): "the host key", _signer(found) if found else b"": "the authority that signed the host key"}
    revoked = next((pin for pin in pinned if pin.marker == REVOKED and pin.blob in shown), None)
    if revoked:
        what = f"{shown[revoked.blob]} of {end.title} is revoked: {revoked.kind} {fingerprint(revoked.blob)}"
        raise UnreachableError(what, where=end.where, hint=f"give the host a new key; it is revoked in {revoked.place}")


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
    found = _certificate(key)
    if not found:
        return "its certificate cannot be used: it is none that can be read"
    try:
        found.verify_cert_signature()
    except (ValueError, TypeError, InvalidSignature) as problem:
        return f"its certificate cannot be used: {problem or type(problem).__name__}"
    return _weak(end, found) or _judged(end, found, pinned)


def _certificate(key: paramiko.PKey) -> ssh.SSHCertificate | None:
    if not key.public_blob:
        return None
    text = f"{key.public_blob.key_type} {base64.b64encode(key.public_blob.key_blob).decode()}"
    try:
        found = ssh.load_ssh_public_identity(text.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return found if isinstance(found, ssh.SSHCertificate) else None


def _signer(found: ssh.SSHCertificate) -> bytes:
    return base64.b64decode(found.signature_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split()[1])


def _weak(end: Endpoint, found: ssh.SSHCertificate) -> str:
    """Why a signature proves nothing though it is right; empty if it does."""
    # cryptography says it nowhere, and takes SHA-1 too.
    algorithm = bytes(found._inner_sig_type).decode("ascii", "replace")
    allowed = end.one("casignaturealgorithms")
    if algorithm not in BY_AUTHORITIES or (allowed and algorithm not in allowed.split(",")):
        return f"its certificate is signed with {algorithm}, which ssh does not take (CASignatureAlgorithms)"
    signer = found.signature_key()
    if isinstance(signer, rsa.RSAPublicKey) and signer.key_size < int(end.one("requiredrsasize") or 0):
        return f"its certificate is signed by a key of {signer.key_size} bits, too few for RequiredRSASize"
    return ""


def _judged(end: Endpoint, found: ssh.SSHCertificate, pinned: Sequence[Pin]) -> str:
    signer = _signer(found)
    authorities = {pin.marker for pin in pinned if pin.blob == signer}
    name = end.one("hostkeyalias") or end.address
    if AUTHORITY not in authorities:
        return f"its certificate is signed by {fingerprint(signer)}, which is no authority for it"
    if found.type is not ssh.SSHCertificateType.HOST or found.critical_options:
        return "its certificate is none for a host"
    if not found.valid_after <= time.time() < found.valid_before:
        return "its certificate has expired, or is not valid yet"
    if not any(fits(each.decode("utf-8", "replace"), name) for each in found.valid_principals):
        return f"its certificate is not for {name}"
    return ""
