"""What runs left on the host: the file of each, and from it how the run ended."""

from __future__ import annotations

import fcntl
import json
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, Iterator, List

from carboy.applier.host import STATE, Host

Event = Dict[str, Any]
UNDER_WAY, DONE, FAILED, KILLED = "under way", "done", "failed", "killed before its end"


class Run:
    """One run, as far as it has come; its events are read on from where the last reading stopped."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "rb")  # noqa: SIM115 - read on as the run goes on
        self.begin = self._next()
        self.name = str(self.begin.get("run", path.stem))

    def events(self) -> Iterator[Event]:
        """The events that were not read yet."""
        while True:
            event = self._next()
            if not event:
                return
            yield event

    def lives(self) -> bool:
        """Whether the process still runs, which holds a lock on the file until it ends in whatever way."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(self._file, fcntl.LOCK_UN)
        return False

    def outcome(self) -> Event:
        """How it ended, and if it failed why."""
        # Asked before the events are read: what it says last must not be missed.
        lives = self.lives()
        last = {event["event"]: event for event in self.events()}
        ended, failed = last.get("end"), last.get("failed", {})
        if not ended:
            return {"state": UNDER_WAY if lives else KILLED}
        code = ended["exit"]
        return {"state": FAILED if code else DONE, "exit": code, "what": failed.get("what", "") if code else ""}

    def about(self) -> Event:
        """What it is: its name and verb, who began it, from where and since when; and how it ended."""
        known = {key: self.begin.get(key, "") for key in ("run", "verb", "who", "where", "since")}
        return {**known, **self.outcome()}

    def _next(self) -> Event:
        """The next event; empty if there is none yet."""
        while True:
            start = self._file.tell()
            line = self._file.readline()
            if not line.endswith(b"\n"):
                # The rest of it is yet to come.
                self._file.seek(start)
                return {}
            # A full disk can leave half a line in the middle.
            with suppress(ValueError):
                return json.loads(line)  # type: ignore[no-any-return]


def runs(host: Host, app: str) -> Iterator[Run]:
    """The runs of an app that changed something, or were about to; the newest first."""
    found = host.at(STATE).glob("runs/*.ndjson")
    # By the host's own clock: names are of the clocks of whoever deploys.
    for path in sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True):
        run = Run(path)
        if run.begin.get("event") == "begin" and run.begin["app"] == app:
            yield run


def described(run: Run) -> str:
    """A run in a few words, for a choice among several."""
    return "%(run)s (%(verb)s by %(who)s from %(where)s, %(state)s)" % run.about()


def names(found: List[Run]) -> str:
    """Some runs, for the end of an error."""
    return ", ".join(map(described, found)) or "none; a run that finds nothing to change leaves none"
