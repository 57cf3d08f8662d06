"""A certificate and its key, judged before a host is contacted: a server that cannot load them would not start."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

SOON = timedelta(days=14)
WEAKEST_RSA = 2048
Problem = tuple[str, ...]
"""Which of the two is wrong ("certificate" or "key"), how, and what to do."""


def problems(certificate: Path, key: Path, names: Sequence[str], now: datetime | None = None) -> Iterator[Problem]:
    """What keeps a server from serving these names with the certificate and the key."""
    try:
        chain = load(_read(certificate))
        yield from _of_chain(chain, names, now or datetime.now(UTC))
    except ValueError as problem:
        yield (
            "certificate",
            f"{certificate}: {problem}",
            "write the path of a PEM file: the certificate, then its chain",
        )
        return
    try:
        yield from _of_key(chain[0], _read(key))
    except (ValueError, TypeError) as problem:
        yield "key", f"{key}: {problem}", "write the path of an unencrypted PEM file"


def load(pem: bytes) -> list[Certificate]:
    """The certificates of a PEM text, the server's own first; raises `ValueError` if there is none."""
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return load_pem_x509_certificates(pem)
    except ValueError:
        raise ValueError("is no PEM certificate") from None


def expiry(chain: Sequence[Certificate]) -> datetime:
    """When the first certificate of a chain expires, which ends all of it."""
    return min(each.not_valid_after_utc for each in chain)


def expires_soon(chain: Sequence[Certificate], now: datetime | None = None) -> str:
    """A warning if the chain expires within two weeks, else nothing."""
    left = expiry(chain) - (now or datetime.now(UTC))
    return f"the certificate expires in {max(left.days, 0)} days, on {expiry(chain):%Y-%m-%d}" if left < SOON else ""


def covers(certificate: Certificate, name: str) -> bool:
    """Whether a certificate is for a name or an address, as browsers see it: by its subject alternative names."""
    return any(_matches(value, name.lower()) for value in _alternatives(certificate))


def _of_chain(chain: Sequence[Certificate], names: Sequence[str], now: datetime) -> Iterator[Problem]:
    own, end = chain[0], expiry(chain)
    missing = [name for name in names if not covers(own, name)]
    if end <= now:
        yield "certificate", f"it expired on {end:%Y-%m-%d %H:%M} UTC", "have it renewed"
    if own.not_valid_before_utc > now:
        yield (
            "certificate",
            f"it is not valid before {own.not_valid_before_utc:%Y-%m-%d %H:%M} UTC",
            "look at the clock",
        )
    if any(each.issuer != above.subject for each, above in pairwise(chain)):
        hint = "write your own first, then those between it and the authority, each after the one that it signed"
        yield "certificate", "the file is no chain: each certificate must be followed by its issuer's", hint
    if missing:
        named = ", ".join(sorted(_alternatives(own))) or "nothing"
        yield (
            "certificate",
            f"it is not for {', '.join(missing)}",
            f"it names {named}: correct app_domain, or get another",
        )


def _of_key(certificate: Certificate, pem: bytes) -> Iterator[Problem]:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        raise ValueError("is encrypted, and nobody could type its passphrase when the server starts") from None
    except ValueError:
        raise ValueError("is no PEM key") from None
    if key.public_key() != certificate.public_key():
        yield "key", "it is not the key of the certificate", "name the two files that were made together"
    elif isinstance(key, RSAPrivateKey) and key.key_size < WEAKEST_RSA:
        yield (
            "key",
            f"RSA of {key.key_size} bits is refused by servers and clients",
            "have one made with 2048 bits or more",
        )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise ValueError(problem.strerror or "cannot be read") from None


def _alternatives(certificate: Certificate) -> list[str]:
    from cryptography.x509 import ExtensionNotFound, SubjectAlternativeName

    try:
        names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    except ExtensionNotFound:
        return []
    return [str(name.value).lower() for name in names]


def _matches(pattern: str, name: str) -> bool:
    """A wildcard stands for exactly one label, and never for a part of an address."""
    if pattern == name:
        return True
    first, _, rest = pattern.partition(".")
    return first == "*" and name.partition(".")[2] == rest and "." in rest and not _numeric(name)


def _numeric(name: str) -> bool:
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        return False
