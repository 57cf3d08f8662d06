"""Ansible Vault: texts that a password closes, in formats 1.1 and 1.2, and the ring of passwords that opens them."""

from __future__ import annotations

from binascii import unhexlify
from dataclasses import dataclass, field
from threading import Lock

from carboy.errors import DeclarationError
from carboy.inventory.passwords import DEFAULT, Password
from carboy.inventory.sealed import Secret

HEADER = "$ANSIBLE_VAULT"
FORMATS = ("1.1", "1.2")
CIPHER = "AES256"
ROUNDS = 10_000
BLOCK = 16
KEY = 32
_HOW = "give --vault-password-file FILE, --vault-id LABEL@SOURCE or --ask-vault-pass"


class Damaged(ValueError):
    """A text is none that Ansible Vault made; the words never hold any of it."""


@dataclass(frozen=True)
class Envelope:
    """An encrypted text taken apart; the label is only a hint which password fits."""

    label: str
    salt: bytes = field(repr=False)
    mac: bytes = field(repr=False)
    body: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Envelope:
        """Take a text apart; raises `Damaged`."""
        first, *lines = text.strip().splitlines() or [""]
        header, version, cipher, *label = [part.strip() for part in (*first.split(";"), "", "")]
        if header != HEADER or cipher != CIPHER:
            raise Damaged("its first line is not one of Ansible Vault's")
        if version not in FORMATS:
            raise Damaged(f"its format is not one of {' and '.join(FORMATS)}")
        try:
            whole = unhexlify("".join(line.strip() for line in lines))
            salt, mac, body = map(unhexlify, whole.split(b"\n", 2))
        except ValueError:
            raise Damaged("it is cut short or was changed") from None
        if not body or len(body) % BLOCK:
            raise Damaged("it is cut short or was changed")
        return cls(label[0] or DEFAULT, salt, mac, body)

    def open(self, password: bytes) -> bytes | None:
        """What is in it; None with the wrong password, which nothing tells from a text that was changed."""
        # Both here, because few runs open anything.
        import hashlib
        import hmac

        keys = hashlib.pbkdf2_hmac("sha256", password, self.salt, ROUNDS, 2 * KEY + BLOCK)
        if not hmac.compare_digest(hmac.new(keys[KEY : 2 * KEY], self.body, "sha256").digest(), self.mac):
            return None
        return _decrypted(self.body, keys[:KEY], keys[2 * KEY :])


@dataclass
class Keyring:
    """The passwords of this process, and what they have opened: a text that forty hosts share is opened once."""

    passwords: list[Password] = field(default_factory=list)
    _opened: dict[str, Secret] = field(default_factory=dict, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def open(self, text: str, where: str) -> Secret:
        """The content of an encrypted text; DeclarationError, with no word of either, if no password opens it."""
        with self._lock:
            if text not in self._opened:
                self._opened[text] = self._content(text, where)
            return self._opened[text]

    def _content(self, text: str, where: str) -> Secret:
        try:
            envelope = Envelope.parse(text)
            for password in self._fitting(envelope.label):
                content = envelope.open(password.value)
                if content is not None:
                    return Secret(content.decode())
            raise self._closed(envelope.label, where)
        except UnicodeDecodeError:
            raise DeclarationError("what Ansible Vault has encrypted here is not UTF-8", where=where) from None
        except Damaged as problem:
            hint = "encrypt it anew with ansible-vault"
            raise DeclarationError(f"no text of Ansible Vault: {problem}", where=where, hint=hint) from None

    def _fitting(self, label: str) -> list[Password]:
        """All passwords, those of that label first: Ansible takes any that opens a text, whatever it is called."""
        return sorted(self.passwords, key=lambda each: each.label != label)

    def _closed(self, label: str, where: str) -> DeclarationError:
        if not self.passwords:
            return DeclarationError("encrypted by Ansible Vault, and there is no password", where=where, hint=_HOW)
        number = "the vault password does not open this" if len(self.passwords) == 1 else "no vault password opens this"
        hint = f"it was encrypted with the password labelled {label!r}; if you gave that one, the text was damaged"
        return DeclarationError(number, where=where, hint=hint)


KEYRING = Keyring()
"""Passwords belong to the process, like the keys of an agent: whoever meets something encrypted asks here."""


def _decrypted(body: bytes, key: bytes, counter: bytes) -> bytes:
    # Here, because few runs decrypt anything.
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    padded = Cipher(algorithms.AES256(key), modes.CTR(counter)).decryptor().update(body)
    return padded[: -padded[-1]]
