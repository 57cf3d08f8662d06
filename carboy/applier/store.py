"""The releases of one app on this host, as they lie below /srv/<app>, and their history."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional

from carboy.applier.host import Host

COMPLETE = "release.json"
MANIFEST = "manifest.json"
HEALTHY = "healthy"
Record = Dict[str, Any]


@dataclass(frozen=True)
class Store:
    """Where an app keeps its releases; the order of releases is the order of their names, never of times on disk."""

    host: Host
    app: str

    @property
    def home(self) -> Path:
        """/srv/<app>"""
        return self.host.at("/srv/" + self.app)

    def path(self, release: str) -> Path:
        """The folder of a release."""
        return self.home / "releases" / release

    def all(self) -> List[str]:
        """Complete releases, oldest first."""
        return sorted(path.parent.name for path in (self.home / "releases").glob("*/" + COMPLETE))

    def current(self) -> Optional[str]:
        """The release that people are pointed to, by the link that a switch sets last."""
        link = self.home / "current"
        return os.readlink(link).rpartition("/")[2] if link.is_symlink() else None

    def record(self, release: str) -> Record:
        """What a complete release says of itself; empty if there is no such release."""
        path = self.path(release) / COMPLETE
        return json.loads(path.read_text()) if path.exists() else {}

    def runtime(self, release: Optional[str]) -> str:
        """What a release was made to be run by; empty where nothing says so."""
        gate: Record = self.record(release).get("gate", {}) if release else {}
        return str(gate.get("runtime", ""))

    def find(self, digest: str) -> Optional[str]:
        """The newest complete release with this identity whose venv still exists."""
        matching = (name for name in reversed(self.all()) if name.endswith("-" + digest[:8]))
        return next((name for name in matching if self._usable(name, digest)), None)

    def new(self, digest: str) -> str:
        """A name for a release made now."""
        return "%s-%s" % (time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), digest[:8])

    def history(self) -> List[Record]:
        """Every switch there was, oldest first; a line that a crash cut short is passed over."""
        path = self.home / "history.jsonl"
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        return [record for record in map(_parsed, lines) if record]

    def remember(self, **record: Any) -> None:
        """Append one switch to the history, safely on disk."""
        line = json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **record}) + "\n"
        path = self.home / "history.jsonl"
        torn = path.exists() and not path.read_bytes().endswith(b"\n")
        with open(path, "a") as target:
            target.write("\n" + line if torn else line)
            target.flush()
            os.fsync(target.fileno())

    def healthy(self) -> List[str]:
        """Complete releases that once served well, the one that did so last coming last."""
        served = [record["release"] for record in self.history() if record["outcome"] == HEALTHY]
        complete = set(self.all())
        return [name for at, name in enumerate(served) if name in complete and name not in served[at + 1 :]]

    def since(self, release: str) -> List[Record]:
        """The switches, failed ones too, since the one after which a release served last, oldest first."""
        every = self.history()
        served = (at for at, each in enumerate(every) if (each["release"], each["outcome"]) == (release, HEALTHY))
        return every[max(served, default=-1) + 1 :]

    def _usable(self, release: str, digest: str) -> bool:
        record, venv = self.record(release), self.path(release) / "venv"
        if "image" in record:
            # Whether the engine still has it the image's own resource asks.
            return bool(record["digest"] == digest)
        # A link that was turned leads to other packages than those that the release was tried out with.
        own = os.path.realpath(venv) == os.path.realpath(self.home / "venvs" / record.get("venv", ""))
        return record.get("digest") == digest and own and (venv / "bin/python").exists()


def _parsed(line: str) -> Record:
    try:
        record: Record = json.loads(line)
        return record
    except ValueError:
        return {}
