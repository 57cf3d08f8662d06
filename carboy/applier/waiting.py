"""What an app waits for: connections that it has asked for, and that nobody accepts."""

from __future__ import annotations

import os
import socket
from typing import List

from carboy.applier.host import Host

SYN_SENT = "02"


def unanswered(host: Host, pid: str) -> List[str]:
    """Where the user of a process wants to connect to over TCP and got no answer yet, as ADDRESS:PORT."""
    process = host.at("/proc/" + pid)
    if pid in ("", "0") or not process.exists():
        return []
    rows = [line.split() for name in ("tcp", "tcp6") for line in _lines(host, name)]
    user = str(os.stat(process).st_uid)
    return sorted({_address(row[2]) for row in rows if row[3] == SYN_SENT and row[7] == user})


def _lines(host: Host, name: str) -> List[str]:
    path = host.at("/proc/net/" + name)
    return path.read_text().splitlines()[1:] if path.exists() else []


def _address(text: str) -> str:
    """The kernel writes an address as words in the order of the machine's bytes, and the port as it is read."""
    words, _, port = text.partition(":")
    raw = b"".join(bytes.fromhex(words[at : at + 8])[::-1] for at in range(0, len(words), 8))
    shown = socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)
    return "%s:%d" % (shown if len(raw) == 4 else "[%s]" % shown, int(port, 16))
