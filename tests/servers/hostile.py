"""Requests that try to break or forge a line of the access log, the same ones for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator

SECRET = b"hunter2-in-a-query"
FORGED = b'"}\n{"@timestamp": "FORGED", "remote_addr": "'
PIECES = [
    *(bytes([byte]) for byte in range(256)),
    *(b'"', b"\\", b"'", b"\\u0000", b"\\x", b"%0a", b"%0d%0a", b"%22", b"%5c", b"%00", b"%ff", b"%", b"%s", b"%(a)s"),
    *(b"{", b"}", b"{0}", b'{"a":1}', b"\t", b" ", b"\\n", b"\\", b"//", b"@", b"?", b"#", b":", b"[", b"]", b""),
    *("\u2028\u2029é😀\ufeff\u202e".encode(), b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xc0\x80", b"\xf5\x80\x80\x80"),
    *(FORGED, FORGED.replace(b"\n", b"%0a"), b"\r\n\r\nGET /forged HTTP/1.1\r\nHost: forged\r\n\r\n", b"\r\nX-More: 1"),
]
# What the protocol allows in a target and in a header: most requests are made of it, so that the app does answer.
ALLOWED = [piece for piece in PIECES if not any((byte < 32 and byte != 9) or byte == 127 for byte in piece)]
VISIBLE = [piece for piece in ALLOWED if all(32 < byte < 127 for byte in piece)]
METHODS = [b"GET"] * 12 + [
    b"HEAD",
    b"POST",
    b"OPTIONS",
    b"BREW",
    b"M-SEARCH",
    b"CONNECT",
    b"get",
    b'G"T',
    b"",
    b"X" * 21,
]
VERSIONS = [b"HTTP/1.1"] * 12 + [b"HTTP/1.0", b"HTTP/1.9", b"HTTP/2.0", b'HTTP/"', b"HTTP/1.1\n", b""]
NAMES = [b"Host", b"Referer", b"User-Agent", b"X-Tracking-Id"]
SIZES = [0, 1, 2, 5, 20]


def requests(seed: int, count: int) -> Iterator[bytes]:
    """Yield hostile requests, each for a connection of its own."""
    rng = random.Random(seed)
    for _ in range(count):
        lines = [b" ".join([rng.choice(METHODS), _target(rng), rng.choice(VERSIONS)]), *_headers(rng)]
        yield b"\r\n".join([*lines, b"Connection: close", b"", b""])


def _target(rng: random.Random) -> bytes:
    start = rng.choice([b"/"] * 8 + [b"//", b"*", b"http://u:p@host/", b"http://[", b"/%2e/", b""])
    path = _text(rng, VISIBLE if rng.random() < 0.9 else PIECES)
    # A question mark in the path would begin the query earlier, and a '#' would end it.
    return start + path.replace(b"#", b"") + rng.choice([b"", b"?token=" + SECRET, b"?" + SECRET + b"%0a" + path])


def _headers(rng: random.Random) -> list[bytes]:
    names = [name for name in NAMES for _ in range(rng.choice([0, 1, 1, 1, 1, 2]))]
    return [name + b": " + _value(rng) for name in names]


def _value(rng: random.Random) -> bytes:
    if rng.random() < 0.02:
        return rng.choice([b'"', b"\xff", b"\\", b"a"]) * rng.choice([2047, 2048, 2049, 8100, 8190, 9000, 70000])
    return _text(rng, ALLOWED if rng.random() < 0.97 else PIECES)


def _text(rng: random.Random, pieces: list[bytes]) -> bytes:
    return b"".join(rng.choices(pieces, k=rng.choice(SIZES)))
