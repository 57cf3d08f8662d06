"""A directory with given mode and owner."""

from __future__ import annotations

from dataclasses import dataclass

from carboy.applier.file import own, ownership
from carboy.applier.host import Host
from carboy.applier.resource import Drift, Failure, Properties, Resource


@dataclass(frozen=True)
class Directory(Resource):
    """A directory; what lies in it is not looked at."""

    path: str
    mode: str = "0755"
    owner: str = "root"
    group: str = "root"

    def title(self) -> str:
        """The name people read."""
        return "directory %s" % self.path

    def current(self, host: Host) -> Properties:
        """Mode and owner; nothing where there is no directory."""
        path = host.at(self.path)
        return ownership(path) if path.is_dir() and not path.is_symlink() else {}

    def desired(self, host: Host) -> Properties:
        """As declared."""
        return {"mode": self.mode, "owner": self.owner, "group": self.group}

    def repair(self, host: Host, drift: Drift) -> None:
        """Make the directory and its parents, then mend mode and owner."""
        path = host.at(self.path)
        # A link is not followed: the owner and mode of whatever it leads to were never declared.
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise Failure("%s is in the way: not a directory" % self.path, hint="move it away, then deploy again")
        path.mkdir(parents=True, exist_ok=True)
        own(path, self.mode, self.owner, self.group)
