"""What is kept here of each run: a file with its events, so that it can be listed, read again, and taken up."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from carboy.errors import DeclarationError
from carboy.project import STATE
from carboy.remote import Event

RUNS = STATE / "runs"
KEPT = 100
VERBS = ("deploy", "plan", "rollback", "verify", "maintenance")
"""The verbs whose runs are kept: those that change something, and those whose outcome somebody may have to show."""
PASSED_OVER = ("connecting", "log")
DONE = ("ok", "drift")


class Record:
    """The file of a run that is under way; raises OSError if there can be none."""

    def __init__(self, run: str) -> None:
        RUNS.mkdir(mode=0o700, parents=True, exist_ok=True)
        for old in sorted(RUNS.glob("*.ndjson"))[: -KEPT + 1]:
            # Another run may have been faster.
            old.unlink(missing_ok=True)
        path = RUNS / f"{run}.ndjson"
        path.touch(mode=0o600)
        self._file = path.open("w", encoding="utf-8")  # open until the process ends

    def keep(self, host: str | None, event: Event) -> None:
        """Write one event, at once: what interrupts the run must not take it away."""
        if event["event"] not in PASSED_OVER:
            self._file.write(json.dumps({"host": host, **event}) + "\n")
            self._file.flush()


@dataclass(frozen=True)
class Kept:
    """A run of before."""

    path: Path

    @property
    def name(self) -> str:
        """The run's name."""
        return self.path.stem

    def events(self) -> Iterator[Event]:
        """What was said, with the host of each event; half a line, as a full disk leaves behind, is passed over."""
        with self.path.open(encoding="utf-8") as lines:
            for line in lines:
                try:
                    yield json.loads(line)
                except ValueError:
                    continue

    @cached_property
    def about(self) -> dict[str, Any]:
        """Which verb, by whom, since when, on which hosts, how each stands, and the exit code if it came to an end."""
        about: dict[str, Any] = {"run": self.name, "verb": "", "check": False, "inventory": [], "who": "", "since": ""}
        about["exit"] = None
        states: dict[str, str] = {}
        for event in self.events():
            if event["event"] == "started":
                states |= dict.fromkeys(event["hosts"], "unknown")
                about |= {key: event[key] for key in about if key in event}
            elif event["event"] == "stopped":
                # Until they are told to be back, nobody knows.
                states |= dict.fromkeys(event["back"], "unknown")
            elif event["event"] == "result":
                states[event["host"]] = event["state"]
            elif event["event"] == "finished":
                about["exit"] = event["exit"]
        return {**about, "states": states}

    @property
    def left(self) -> list[str]:
        """The hosts that are not as the run wanted them."""
        return [host for host, state in self.about["states"].items() if state not in DONE]


def kept() -> list[Kept]:
    """The runs of before, the newest first."""
    return [Kept(path) for path in sorted(RUNS.glob("*.ndjson"), reverse=True)]


def find(name: str) -> Kept:
    """A run by its name, the beginning of it, or `last`; DeclarationError if none or several have it."""
    found = kept()[:1] if name == "last" else [run for run in kept() if name and run.name.startswith(name)]
    if len(found) != 1:
        what = f"{len(found)} runs begin with {name!r}" if found else f"no run {name} is kept here"
        raise DeclarationError(what, hint="invoke runs lists them")
    return found[0]


def latest(verb: str, inventory: Sequence[str]) -> Kept:
    """The last run of a verb with an inventory, or of deploy for a verb that only looks; DeclarationError if none."""
    wanted = verb if verb in ("rollback", "verify", "maintenance") else "deploy"
    for run in kept():
        found = run.about["verb"], run.about["check"], run.about["inventory"]
        if found == (wanted, False, [*inventory]):
            return run
    raise DeclarationError(f"no {wanted} is kept here that could have left hosts", hint="invoke runs lists what is")
