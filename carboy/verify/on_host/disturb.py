"""Questions that are answered by doing something to the app, which serves again afterwards or is helped to."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import time
import uuid
from pathlib import Path
from threading import Event, Thread
from typing import Any

from carboy.verify.on_host import app

AROUND_ROTATION = 100
ROTATION_SECONDS = 30.0
LOGGED_SECONDS = 10.0
FOLLOW_SECONDS = 3.0
NAME = "carboy-verify-"


def rotation(listen: str, path: str, config: str, log: str) -> dict[str, Any]:
    """Rotate by force between requests that never pause; which of these are not found once in all logs together."""
    with Requests(listen, path) as requests:
        requests.wait()
        inode = Path(log).stat().st_ino
        command = ["logrotate", "--force", config]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        requests.wait()
        app.until(lambda: not _astray(requests.sent, log), FOLLOW_SECONDS)
        astray = _astray(requests.sent, log)
    times = app.until(lambda: _all_logged(requests.sent, log), LOGGED_SECONDS) or _logged(requests.sent, log)
    return {
        "exit": done.returncode,
        "said": done.stdout.decode("utf-8", "replace")[-300:],
        "rotated": Path(log).stat().st_ino != inode,
        "sent": len(requests.sent),
        "astray": astray,
        "lost": [name for name in requests.sent if times[name] == 0],
        "twice": [name for name in requests.sent if times[name] > 1],
    }


def kill_main(unit: str, listen: str, path: str, seconds: str) -> dict[str, Any]:
    """Kill the main process; how long until another one answers, and the unit before and after."""
    before, began = app.show(unit), time.monotonic()
    os.kill(int(before["MainPID"]), signal.SIGKILL)
    app.until(lambda: _over(unit) or (_replaced(unit, before) and app.healthy(listen, path)), float(seconds))
    took, back = time.monotonic() - began, _replaced(unit, before)
    return {"back": back, "seconds": took, "before": before, "after": app.show(unit)}


def kill_worker(unit: str, seconds: str) -> dict[str, Any]:
    """Kill one worker; how long until as many run as before."""
    before, began = app.show(unit), time.monotonic()
    first, *others = app.workers(unit, before["MainPID"])
    os.kill(int(first), signal.SIGKILL)

    def replaced() -> bool:
        now = app.workers(unit, before["MainPID"])
        return len(now) > len(others) and first not in now

    back = app.until(replaced, float(seconds))
    return {"back": back, "seconds": time.monotonic() - began, "before": before, "after": app.show(unit)}


def terminate_main(unit: str, listen: str, path: str, seconds: str) -> dict[str, Any]:
    """End the main process as an operator would, then ask the public address; the unit as it ended, and after."""
    before = app.show(unit)
    os.kill(int(before["MainPID"]), signal.SIGTERM)
    ended = app.until(lambda: _ended(unit, before), float(seconds))
    began = time.monotonic()
    back = app.until(lambda: app.healthy(listen, path) and _replaced(unit, before), float(seconds))
    return {"ended": ended, "back": back, "seconds": time.monotonic() - began, "after": app.show(unit)}


def crash_loop(unit: str, most: str, seconds: str) -> dict[str, Any]:
    """Kill each main process as soon as there is one, until systemd gives up or `most` were killed."""
    killed: list[str] = []

    def over() -> bool:
        shown = app.show(unit)
        if shown["MainPID"] not in ("0", *killed):
            killed.append(shown["MainPID"])
            os.kill(int(shown["MainPID"]), signal.SIGKILL)
        return _over(unit) or len(killed) >= int(most)

    app.until(over, float(seconds))
    return {"kills": len(killed), "after": app.show(unit)}


class Requests:
    """Requests one after the other, each with a name of its own, as long as the `with` block lasts."""

    def __init__(self, listen: str, path: str) -> None:
        self.sent: list[str] = []
        self._over = Event()
        self._thread = Thread(target=self._send, args=(listen, path))

    def __enter__(self) -> Requests:
        self._thread.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._over.set()
        self._thread.join()

    def wait(self) -> None:
        """Wait until some more were answered."""
        enough = len(self.sent) + AROUND_ROTATION
        app.until(lambda: len(self.sent) >= enough, ROTATION_SECONDS)

    def _send(self, listen: str, path: str) -> None:
        while not self._over.is_set():
            name = NAME + uuid.uuid4().hex
            if app.get(listen, path, **{"X-Tracking-Id": name})["status"]:
                self.sent.append(name)


def _astray(sent: list[str], log: str) -> list[str]:
    """Recent requests that are not in the log; without a signal the app goes on writing to the renamed file."""
    text = Path(log).read_bytes()
    return [name for name in sent[-60:-10] if name.encode() not in text]


def _logged(sent: list[str], log: str) -> dict[str, int]:
    times = dict.fromkeys(sent, 0)
    for path in Path(log).parent.glob(Path(log).name + "*"):
        reader: Any = gzip.open if path.suffix == ".gz" else open
        with reader(path, "rb") as lines:
            for name in filter(None, map(_name, lines)):
                times[name] = times.get(name, 0) + 1
    return times


def _all_logged(sent: list[str], log: str) -> dict[str, int]:
    times = _logged(sent, log)
    return times if all(times.values()) else {}


def _name(line: bytes) -> str:
    # Most lines are not of this run, and parsing them all would take as long as the rest.
    return json.loads(line)["x_tracking_id"] or "" if NAME.encode() in line else ""


def _over(unit: str) -> bool:
    """Whether systemd has no restart in mind."""
    return app.show(unit)["SubState"] in ("failed", "dead")


def _replaced(unit: str, before: app.Unit) -> bool:
    shown = app.show(unit)
    return shown["ActiveState"] == "active" and shown["MainPID"] not in ("0", before["MainPID"])


def _ended(unit: str, before: app.Unit) -> app.Unit:
    # Where others send requests too, the next one starts the service before anybody can see it inactive.
    shown = app.show(unit)
    over = shown["ActiveState"] in ("inactive", "failed") or shown["InvocationID"] != before["InvocationID"]
    return shown if over else {}
