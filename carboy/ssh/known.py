"""known_hosts: which keys are pinned for a name, as ssh reads its files."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from carboy.ssh.endpoint import Endpoint

AUTHORITY, REVOKED = "@cert-authority", "@revoked"


@dataclass(frozen=True)
class Pin:
    """One line of known_hosts: a key, and what a marker says of it."""

    marker: str
    kind: str
    blob: bytes
    place: str


def fingerprint(blob: bytes) -> str:
    """The SHA-256 fingerprint of a public key, as ssh-keygen prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def pins(end: Endpoint) -> list[Pin]:
    """All that is pinned for an sshd, in any of its files."""
    return [pin for file in end.known_hosts for pin in _pins(file, end.pin_name)]


def names(line: bytes, name: str) -> bool:
    """Whether a line without a marker pins a key of that name."""
    words = _words(line)
    return bool(words) and not words[0].startswith("@") and _match(words[0].split(","), name)


def _pins(file: Path, name: str) -> Iterator[Pin]:
    try:
        lines = file.read_bytes().splitlines()
    except OSError:
        return
    for number, line in enumerate(lines, start=1):
        marker, patterns, kind, blob = _parsed(_words(line))
        if blob and _match(patterns.split(","), name):
            yield Pin(marker, kind, blob, f"{file}:{number}")


def _words(line: bytes) -> list[str]:
    words = line.decode("utf-8", "replace").split()
    return [] if not words or words[0].startswith("#") else words


def _parsed(words: list[str]) -> tuple[str, str, str, bytes]:
    """Marker, names, type and key; no key if the line is none that ssh would read."""
    marker, words = (words[0], words[1:]) if words and words[0].startswith("@") else ("", words)
    if len(words) < 3 or marker not in ("", AUTHORITY, REVOKED):
        return ("", "", "", b"")
    try:
        blob = base64.b64decode(words[2], validate=True)
    except (binascii.Error, ValueError):
        return ("", "", "", b"")
    kind = words[1].encode()
    # A key says of which type it is, and a line that says otherwise is none.
    return (marker, words[0], words[1], blob) if blob.startswith(len(kind).to_bytes(4) + kind) else ("", "", "", b"")


def _match(patterns: Iterable[str], name: str) -> bool:
    """As ssh does: one pattern that fits, and none that fits behind a `!`."""
    found = False
    for pattern in patterns:
        if pattern.startswith("!") and fits(pattern[1:], name):
            return False
        found = found or (not pattern.startswith("!") and fits(pattern, name))
    return found


def fits(pattern: str, name: str) -> bool:
    """Whether a name is what a hash was made of, or fits a pattern with `*` and `?`."""
    if pattern.startswith("|1|"):
        return _hashed(pattern, name)
    # Not fnmatch, for which a bracket, as around an address with its port, begins a set of letters.
    text = re.escape(pattern.lower()).replace(r"\*", ".*").replace(r"\?", ".")
    return bool(re.fullmatch(text, name.lower(), re.DOTALL))


def _hashed(pattern: str, name: str) -> bool:
    try:
        _, _, salt, digest = pattern.split("|")
        made = hmac.new(base64.b64decode(salt), name.encode(), hashlib.sha1).digest()
        return hmac.compare_digest(made, base64.b64decode(digest))
    except (ValueError, binascii.Error):
        return False
