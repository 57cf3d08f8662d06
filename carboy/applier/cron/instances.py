"""The instances of an app below /run/carboy/<app>, as control script and keepers write them down; and that script."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional

from carboy.applier.host import link, remove, write
from carboy.applier.runtime import State
from carboy.applier.store import Store

CANDIDATE, HOOK, OLD = ".candidate", ".hook", ".old"
LOCK = "lock"
# Of an instance's status in /proc, after its name.
CODE, START = 0, 19
GONE = ("Z", "X")


@dataclass(frozen=True)
class Instances:
    """What runs of an app, and what its control script is told to do about it."""

    store: Store

    @property
    def folder(self) -> Path:
        """Where the instances are written down."""
        return self.store.host.at("/run/carboy/" + self.store.app)

    @property
    def choice(self) -> Path:
        """The control script of the chosen release, by the name that people and cron call it by."""
        return self.store.home / "control"

    @property
    def stopped(self) -> Path:
        """The mark that somebody stopped the app by hand."""
        return self.store.home / "stopped"

    def read(self) -> State:
        """Which instances live."""
        names = [path.stem for path in self.folder.glob("*.pid")]
        alive = sorted(name for name in names if self.lives(name))
        serving = [name for name in alive if "." not in name]
        ending = {name for name in serving if self.file(name, "ending").exists()}
        ending |= {name[: -len(OLD)] for name in alive if name.endswith(OLD)} - set(serving)
        chosen = self._chosen()
        return State(
            serving=[name for name in serving if name not in ending],
            draining=sorted(ending),
            candidates=[name[: -len(CANDIDATE)] for name in alive if name.endswith(CANDIDATE)],
            chosen=chosen,
            socket="active" if chosen and self.kept(chosen) else "inactive",
            shown={"stopped": {"by": _text(self.stopped)}},
        )

    def file(self, instance: str, suffix: str) -> Path:
        """One of an instance's files."""
        return self.folder / ("%s.%s" % (instance, suffix))

    def text(self, instance: str, suffix: str) -> str:
        """What a file of an instance says; empty if there is none."""
        return _text(self.file(instance, suffix))

    def started(self, instance: str) -> float:
        """When its main process was written down; now if it has ended meanwhile."""
        try:
            return self.file(instance, "pid").stat().st_mtime
        except FileNotFoundError:
            return time.time()

    def main(self, instance: str) -> Dict[str, str]:
        """The main process as it was written down: its number and when it was started; 0 if nothing was."""
        pid, born, keeper, kept = (self.text(instance, "pid").split() + ["0"] * 4)[:4]
        return {"pid": pid, "born": born, "keeper": keeper, "kept": kept}

    def lives(self, instance: str) -> bool:
        """Whether the main process is the one that was started, and has not ended."""
        noted = self.main(instance)
        return noted["born"] == self._born(noted["pid"])

    def kept(self, instance: str) -> bool:
        """Whether a keeper holds the public socket for it."""
        noted = self.main(instance)
        return noted["kept"] == self._born(noted["keeper"])

    def control(self, release: str, *words: str) -> "subprocess.CompletedProcess[str]":
        """Have a release's own control script do something, to its end."""
        return self.store.host.call(str(self.script(release)), *words)

    def script(self, release: str) -> Path:
        """The control script that a release brings."""
        return self.store.path(release) / "cron/control"

    def choose(self, release: str) -> None:
        """Make the release the one that cron looks after, now and after the next boot."""
        self._point(release)
        for mark in (self.stopped, self.folder / "failures"):
            remove(mark)

    def restore(self, before: State) -> None:
        """Have cron look after what it looked after before, if anything, and leave that stopped if somebody did so."""
        by = before.shown["stopped"]["by"]
        if by:
            write(self.stopped, (by + "\n").encode())
        if before.chosen:
            self._point(before.chosen)
        else:
            remove(self.choice)

    def hooks(self) -> List[str]:
        """Hooks that were begun and not yet brought to an end."""
        return [path.stem for path in self.folder.glob("*%s.pid" % HOOK)]

    def left(self, release: str) -> List[str]:
        """Instances beside the one of a release: of others, and those that earlier runs did not bring to an end."""
        others = {path.stem for path in self.folder.glob("*.pid")} - {release}
        # A hook that a killed run left goes on, as a migration should.
        return sorted(name for name in others if not (name.endswith(HOOK) and self.lives(name)))

    def sweep(self, release: str) -> None:
        """Remove the files of what has ended, and public sockets at paths where other releases listened."""
        for path in self.folder.glob("*"):
            if not path.name.startswith((release, LOCK)) and not self.lives(path.stem):
                remove(path)
        here = self._listen(release)
        for place in {self._listen(each) for each in self.store.all()} - {here}:
            if place.startswith("/") and _abandoned(self.store.host.at(place)):
                remove(self.store.host.at(place))

    def _point(self, release: str) -> None:
        if self._chosen() != release:
            link(self.choice, "releases/%s/cron/control" % release)

    def _listen(self, release: str) -> str:
        return str(self.store.record(release).get("gate", {}).get("listen", ""))

    def _chosen(self) -> Optional[str]:
        return Path(os.readlink(self.choice)).parts[1] if self.choice.is_symlink() else None

    def _born(self, pid: str) -> str:
        """When a process was started, in the kernel's own measure; empty if it has ended."""
        try:
            status = self.store.host.at("/proc/%s/stat" % pid).read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if status[CODE] in GONE else status[START]


def _text(path: Path) -> str:
    """What a file says; empty if there is none, or none any more."""
    try:
        return path.read_text(errors="replace").strip()
    except FileNotFoundError:
        return ""


def _abandoned(path: Path) -> bool:
    """Whether a socket is there at which nobody listens: a live one may be another app's by now."""
    if not path.is_socket():
        return False
    with socket.socket(socket.AF_UNIX) as asking:
        asking.setblocking(False)
        return asking.connect_ex(str(path)) == errno.ECONNREFUSED
