"""One run at a time per app: a lock that the kernel frees however its holder ends."""

from __future__ import annotations

import fcntl
import json
import os
import time
from typing import Any, Dict

from carboy.applier.host import Host, private
from carboy.applier.resource import Locked

PAUSE_SECONDS = 0.1


def hold(host: Host, app: str, holder: Dict[str, Any], wait: float) -> int:
    """Take the lock of `app` for as long as this process and its children live, or raise `Locked` after `wait` s."""
    # Not in /run/lock, where on many hosts anybody could be first to make the file.
    path = private(host.at("/run/carboy")) / (app + ".lock")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + wait
    told = False
    while not _try(descriptor):
        other = _holder(descriptor)
        if time.monotonic() >= deadline:
            raise Locked(
                "another run holds %s: %s" % (app, other), hint="wait for it (--wait 60), or see invoke status"
            )
        if not told:
            host.say("waiting for the lock, held by %s" % other)
            told = True
        host.stream.pause(PAUSE_SECONDS)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(holder).encode(), 0)
    return descriptor


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


def _holder(descriptor: int) -> str:
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
        return "%(who)s from %(where)s since %(since)s, run %(run)s" % holder
    except (ValueError, KeyError):
        return "a run that is just starting"
