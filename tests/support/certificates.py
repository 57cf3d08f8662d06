"""An authority that tests trust, and the certificates that it makes."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


class Authority:
    """Signs certificates, all of them under the same two names in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = _name("Carboy's tests")
        self.certificate = self._signed("Carboy's tests", self.key.public_key(), [], 30 * DAY, authority=True)
        self.path = folder / "authority.pem"
        self.path.write_bytes(self.certificate.public_bytes(Encoding.PEM))

    @property
    def client(self) -> ssl.SSLContext:
        """What a client needs that trusts this authority and no other."""
        return ssl.create_default_context(cafile=str(self.path))

    def certify(
        self, *names: str, valid: timedelta = 90 * DAY, key: Any = None, file: str = "site"
    ) -> tuple[Path, Path]:
        """The files of a new certificate for these names, with the authority's own behind it, and of its key."""
        own = key or ec.generate_private_key(ec.SECP256R1())
        signed = self._signed(names[0], own.public_key(), list(names), valid)
        chain = [each.public_bytes(Encoding.PEM) for each in (signed, self.certificate)]
        certificate, secret = self.folder / f"{file}.pem", self.folder / f"{file}.key"
        certificate.write_bytes(b"".join(chain))
        secret.write_bytes(own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, secret

    def _signed(
        self, subject: str, public: Any, names: list[str], valid: timedelta, *, authority: bool = False
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(self.name, _name(subject), public, x509.random_serial_number())
        builder = builder.not_valid_before(min(now, now + valid) - DAY).not_valid_after(now + valid)
        builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False)
        return builder.sign(self.key, SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
