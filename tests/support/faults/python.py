#!/usr/bin/python3 -IS
"""Stands in for a host's Python: runs the applier as it is, and does harm at one chosen point of it.

Points are counted: events sent to the controller, and effects, which are audit events of Python that change something
or start a program, apart for the part `before` the run goes on alone and for the part `alone`. Every point passed is
written to the report, so a run without harm tells which points there are.
"""

import errno
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

ORDER, REPORT = "/run/fault.json", "/run/fault.log"
CHANGING = ("rename", "mkdir", "rmdir", "remove", "symlink", "link", "chmod", "chown", "utime", "truncate", "fork")
EFFECTS = frozenset(["subprocess.Popen", *("os." + name for name in CHANGING)])
NEEDS_ROOM = frozenset(["open", "os.rename", "os.mkdir", "os.symlink", "os.link"])
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
NOT_ON_DISK = ("/run/", "/dev/", "/proc/")


class Fault:
    """Counts the points of one run, and strikes at the one that the order names."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.order = order
        self.report = os.open(REPORT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self.part = "before"
        self.counts = {"event": -2, "before": 0, "alone": 0}  # the marker's two line ends come before any event
        self.full = False

    def forked(self) -> None:
        """The first child is the run that goes on alone; what that forks is none of ours."""
        self.part = {"before": "alone"}.get(self.part, "other")

    def audited(self, name: str, args: tuple[Any, ...]) -> None:
        """Count an effect, before it happens."""
        if self.part in self.counts and _changes(name, args):
            self.reached(self.part, "{} {}".format(name, args[name == "subprocess.Popen"] if args else ""))
            if self.full and name in NEEDS_ROOM and not str(args[name == "os.rename"]).startswith(NOT_ON_DISK):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), args[0])

    def wrote(self, descriptor: int, data: bytes) -> int:
        """Count the events in what goes to the controller, after it went."""
        sent = WRITE(descriptor, data)
        if descriptor == 1:
            for _ in range(data[:sent].count(b"\n")):
                self.reached("event", data.decode("utf-8", "replace"))
        return sent

    def reached(self, counter: str, what: str) -> None:
        """Pass one point, or strike at it."""
        self.counts[counter] += 1
        here = self.counts[counter]
        if here > 0:
            self.note(counter, what[:200])
        if (self.order["at"], self.order["nth"]) == (counter, here):
            self.note("struck", what[:200])
            getattr(self, self.order["do"])()

    def note(self, kind: str, what: str) -> None:
        """Write a line to the report; it is there even if the process dies next."""
        WRITE(self.report, (json.dumps([kind, what]) + "\n").encode())

    def kill(self) -> None:
        """SIGKILL, at once or a while later: to this process, to what started it, or to all of the run."""
        if self.order.get("delay"):
            waiting = threading.Timer(self.order["delay"], self._kill)
            waiting.daemon = True
            waiting.start()
        else:
            self._kill()

    def _kill(self) -> None:
        if self.order["who"] in ("parent", "all") and self.part == "alone":
            os.kill(os.getppid(), signal.SIGKILL)
        if self.order["who"] == "all" and self.part == "alone":
            os.killpg(0, signal.SIGKILL)
        if self.order["who"] != "parent":
            os.kill(os.getpid(), signal.SIGKILL)

    def fill(self) -> None:
        """From here on there is no room on the disk."""
        self.full = True

    def stop(self) -> None:
        """Stand still for ever."""
        while True:
            signal.pause()


def _changes(name: str, args: tuple[Any, ...]) -> bool:
    if name == "open":
        return bool(args[2] & WRITES) and args[0] != "/dev/null" and not isinstance(args[0], int)
    # Python asks for folders that are there already, which changes nothing.
    return name in EFFECTS and not (name == "os.mkdir" and Path(args[0]).is_dir())


def step_clock(seconds: float, since: float) -> None:
    """Have the wall clock show another time, also as the time of each file that was written after the step."""
    real_time, real_gmtime, real_stat = time.time, time.gmtime, os.stat

    def stat(*args: Any, **options: Any) -> os.stat_result:
        found = real_stat(*args, **options)
        moved = seconds if found.st_mtime >= since else 0.0
        return os.stat_result(tuple(found)[:10], {"st_mtime": found.st_mtime + moved})

    time.time = lambda: real_time() + seconds
    time.gmtime = lambda at=None: real_gmtime(time.time() if at is None else at)
    os.stat = stat


with open(ORDER) as file:
    FAULT = Fault(json.load(file))
WRITE = os.write
os.write = FAULT.wrote  # type: ignore[assignment]
if FAULT.order.get("clock"):
    step_clock(FAULT.order["clock"], FAULT.order["since"])
os.register_at_fork(after_in_child=FAULT.forked)
sys.addaudithook(FAULT.audited)
exec(compile(sys.argv[-1], "<string>", "exec"), {"__name__": "__main__"})
