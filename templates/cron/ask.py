"""ask.py SOCKET PID SECONDS: whether the app that has this number becomes well within that time; if not, says why.

Part of the release, written by Carboy.
"""

from __future__ import annotations

import http.client
import json
import socket
import sys
import time
from pathlib import Path

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0


def main(place: str, pid: str, seconds: str) -> int:
    """Ask until it is well, the time is over or it has ended; returns the exit code."""
    health = json.loads(Path(__file__).with_name("settings.json").read_text())["health"]
    until, pause = time.monotonic() + float(seconds), FIRST_PAUSE
    while True:
        wrong = ask(place, health, max(0.1, until - time.monotonic()))
        if not wrong or time.monotonic() >= until or not Path("/proc", pid).exists():
            print(wrong, end="")
            return bool(wrong)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def ask(place: str, path: str, seconds: float) -> str:
    """What is wrong with one answer; nothing if it is well."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(seconds)
    try:
        connection.sock.connect(place)
        connection.request("GET", path, headers={"Connection": "close", "User-Agent": "carboy-check"})
        status = connection.getresponse().status
        return "" if 200 <= status < 400 else f"{path} answers {status}"
    except (OSError, http.client.HTTPException) as problem:
        words = f"nothing within {seconds:.0f} s" if isinstance(problem, socket.timeout) else str(problem)
        return f"no answer on {path}: {words or repr(problem)}"
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
