"""What runs the releases of an app on a host, whichever it is: what a switch, a watch and a status ask of it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

from carboy.applier.probe import Address, Answer
from carboy.applier.resource import Failure
from carboy.applier.store import Store


@dataclass(frozen=True)
class State:
    """Which releases serve, which still end, which are only tried out, and which one the next boot starts.

    `socket` is "active" if the public address is open; `shown` is whatever else was read, for the runtime's own use.
    """

    serving: List[str]
    draining: List[str]
    candidates: List[str]
    chosen: Optional[str]
    socket: str
    shown: Dict[str, Dict[str, str]] = field(default_factory=dict)


class Runtime:
    """Subclasses are named alike, each in `carboy/applier/<runtime>/runtime.py`; `of` finds them."""

    def __init__(self, store: Store) -> None:
        self.store, self.host = store, store.host

    def foresee(self) -> None:
        """Begin to find out what `read` will tell, if that takes a while."""

    def read(self) -> State:
        """Read everything at once; changes nothing."""
        raise NotImplementedError

    def as_released(self, release: str, state: State) -> bool:
        """Whether a release runs under the very settings that it brought."""
        raise NotImplementedError

    def about(self, release: str, state: State) -> Dict[str, Any]:
        """What a status says of a release that serves: pid, restarts, since (seconds of the wall clock)."""
        raise NotImplementedError

    def address(self, release: str) -> Address:
        """Where questions reach a serving release alone, not one that serves beside it."""
        raise NotImplementedError

    def vital(self, release: str) -> str:
        """Something that changes when a release is started again; empty if it is not up."""
        raise NotImplementedError

    def judge(self, release: str) -> None:
        """The gate: run a release where no client reaches it; raises `Failure` unless it is healthy."""
        raise NotImplementedError

    def discard_candidate(self, release: str) -> None:
        """Leave nothing of a gate that was killed."""
        raise NotImplementedError

    def join(self, release: str, state: State) -> None:
        """Have a release serve the public, beside those that do; raises `Failure` unless it is then healthy."""
        raise NotImplementedError

    def prove(self, release: str) -> None:
        """Raise `Failure` unless all that serves of a release is of one piece."""
        raise NotImplementedError

    def succeed(self, release: str, state: State) -> "subprocess.Popen[bytes]":
        """Choose a release, now and for the next boot, and begin to end the others; what is returned ends with them."""
        raise NotImplementedError

    def revive(self, release: str, sick: str) -> None:
        """Start a release again that has just ended, in the place of a sick one, however full the disk is."""
        raise NotImplementedError

    def discard(self, release: str) -> None:
        """End a release that failed at once, and leave nothing of it running."""
        raise NotImplementedError

    def take_down(self, release: str, before: State) -> None:
        """End a release that failed where none served before, and leave what was there."""
        raise NotImplementedError

    def await_hooks(self) -> None:
        """Wait for the hook of a run that was killed: what it works on must neither be removed nor started twice."""

    def execute(self, release: str, moment: str) -> Tuple[str, str]:
        """Run the hook of a release for a moment as the release runs; why it failed, if it did, and what it said."""
        raise NotImplementedError

    def sweep(self, release: str) -> None:
        """Remove what no longer serves any purpose beside the release that serves."""
        raise NotImplementedError

    def pauses(self, release: str) -> bool:
        """Whether a release can only begin to serve when the one before it has ended."""
        return False

    def name(self, release: str) -> str:
        """What a person calls a release to the tools of the host."""
        raise NotImplementedError

    @property
    def inquiry(self) -> str:
        """The command that shows a person how the app is."""
        raise NotImplementedError

    def failure(self, release: str, what: str, answer: Optional[Answer] = None) -> Failure:
        """A failure of a serving release with the likely cause, the facts, and what to do next."""
        raise NotImplementedError


def of(store: Store) -> Runtime:
    """What runs this app, as its controller declares."""
    module = "carboy.applier.%s.runtime" % store.host.args.get("runtime", "systemd")
    __import__(module)
    runtime: Runtime = sys.modules[module].Runtime(store)
    return runtime
