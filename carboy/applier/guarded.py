"""A change that could lock people out: it stays only if it is confirmed over a new connection."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Iterator, List, Tuple, Union

from carboy.applier.host import Host
from carboy.applier.pending import outlast, pending
from carboy.applier.resource import Drift, Failure, Need, Properties, Resource

if TYPE_CHECKING:
    from carboy.applier.file import File
    from carboy.applier.keys import Keys
    from carboy.applier.link import Link

    Placed = Union[File, Keys, Link]

LINES = 15


@dataclass(frozen=True)
class Part:
    """A resource with a path, and what makes it count.

    `do` is a command, run after the repair. `undo` and `keep` are lines of shell, run in the folder of the dead-man
    switch: `undo` once the old file is back, `keep` before anything is changed, for what no file holds.
    """

    resource: Placed
    do: str = ""
    undo: str = ""
    keep: str = ""

    @property
    def path(self) -> str:
        """What is copied before the change, and put back."""
        return self.resource.path

    def change(self, host: Host) -> None:
        """Repair, and make it count."""
        self.resource.repair(host, self.resource.drift(host))
        if self.do:
            host.run(*shlex.split(self.do))


@dataclass(frozen=True)
class Guarded(Resource):
    """Several parts as one: they change together, and all of them go back if nobody confirms within `seconds`."""

    name: str
    parts: Tuple[Part, ...]
    seconds: float

    def title(self) -> str:
        """The name people read."""
        return "guarded %s" % self.name

    def current(self, host: Host) -> Properties:
        """The properties of all parts, once nobody's change is in the balance any more."""
        if pending(host):
            host.say("waiting for an earlier change to be confirmed or taken back")
            outlast(host)
        return {key: value for part in self.parts for key, value in _named(part, part.resource.current(host))}

    def desired(self, host: Host) -> Properties:
        """As declared in the parts."""
        return {key: value for part in self.parts for key, value in _named(part, part.resource.desired(host))}

    def lacks(self, host: Host) -> Iterator[Need]:
        """What its parts lack."""
        for part in self.parts:
            yield from part.resource.lacks(host)

    def shows(self, host: Host) -> Iterator[Need]:
        """What its parts show."""
        for part in self.parts:
            yield from part.resource.shows(host)

    def diff(self, host: Host) -> str:
        """The diffs of the parts that drift."""
        return "".join(part.resource.diff(host) for part in self._drifting(host))

    def repair(self, host: Host, drift: Drift) -> None:
        """Change what drifts, have that confirmed, and fail if it was taken back instead."""
        from carboy.applier.deadman import Deadman

        parts, began = self._drifting(host), time.time()
        try:
            with Deadman(host).over(parts, self.seconds) as token:
                for part in parts:
                    part.change(host)
        except Failure as failure:
            failure.details += _said_since(host, began)
            raise
        host.stream.emit("confirm", token=token, seconds=self.seconds)
        outlast(host)
        if self._drifting(host):
            raise Failure(
                "no new login confirmed the change, so what was there is back: %s" % " ".join(p.path for p in parts),
                details=_said_since(host, began),
                hint="correct the settings that would have locked you out, then deploy again",
            )

    def _drifting(self, host: Host) -> List[Part]:
        return [part for part in self.parts if part.resource.drift(host)]


def _named(part: Part, properties: Properties) -> List[Tuple[str, object]]:
    return [("%s %s" % (part.resource.title(), key), value) for key, value in properties.items()]


def _said_since(host: Host, began: float) -> str:
    """What sshd and sudo said of the change, and of the login that was to confirm it."""
    names = ("-t", "sshd", "-t", "sshd-session", "-t", "sudo")
    said = host.call("journalctl", "-q", "-o", "cat", "--since=@%.3f" % began, *names).stdout
    return "\n" + "\n".join(said.splitlines()[-LINES:])
