"""What every resource is: something with properties that are read, compared with what is wanted, and repaired."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, Iterator, Tuple

if TYPE_CHECKING:
    from pathlib import Path

    from carboy.applier.host import Host

Properties = Dict[str, Any]
Drift = Dict[str, Tuple[Any, Any]]
Need = Dict[str, Any]
# A place on the host, and the bytes and inodes that are written below it.
Weight = Tuple["Path", int, int]


@dataclass(frozen=True)
class Blob:
    """Bytes that travel apart from the catalog, and only when the host lacks them."""

    sha256: str
    size: int

    @property
    def need(self) -> Need:
        """The request that makes the controller send these bytes."""
        return {"blob": self.sha256}


@dataclass(frozen=True)
class Resource:
    """One thing a host should have; subclasses are frozen dataclasses whose fields declare it."""

    def title(self) -> str:
        """The name people read in plans and reports."""
        raise NotImplementedError

    def foresee(self, host: Host) -> None:
        """Begin to ask what `current` will want to know first, if the answer takes a while."""

    def current(self, host: Host) -> Properties:
        """Read the properties as they are now; changes nothing."""
        raise NotImplementedError

    def desired(self, host: Host) -> Properties:
        """The properties as they should be, under the same keys as `current`."""
        raise NotImplementedError

    def lacks(self, host: Host) -> Iterator[Need]:
        """What the repair needs from the controller and the host does not hold yet."""
        return iter(())

    def weighs(self, host: Host) -> Iterator[Weight]:
        """What the repair will write where, as far as it is known yet; small texts need not be counted."""
        return iter(())

    def shows(self, host: Host) -> Iterator[Need]:
        """What `diff` needs from the controller and the host does not hold yet."""
        return iter(())

    def repair(self, host: Host, drift: Drift) -> None:
        """Make the properties in `drift` right; raises `Failure` if it cannot."""
        raise NotImplementedError

    def diff(self, host: Host) -> str:
        """The change of text that a repair would make, as a unified diff; empty for what has no text."""
        return ""

    def drift(self, host: Host) -> Drift:
        """Each property that is not as desired: its current and its desired value."""
        current, desired = self.current(host), self.desired(host)
        return {key: (current.get(key), want) for key, want in desired.items() if current.get(key) != want}


class Failure(Exception):
    """A repair that could not be done: what happened, the facts a person needs, and what to do next."""

    exit_code = 1

    def __init__(self, what: str, *, details: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.details = details
        self.hint = hint


class Stranded(Failure):
    """The change failed, and the way back failed too."""

    exit_code = 6


class Locked(Failure):
    """Another run holds the lock."""

    exit_code = 5
