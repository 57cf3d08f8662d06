"""A symbolic link."""

from __future__ import annotations

import os
from dataclasses import dataclass

from carboy.applier.host import Host, link
from carboy.applier.resource import Drift, Failure, Properties, Resource


@dataclass(frozen=True)
class Link(Resource):
    """A symbolic link; its target need not exist."""

    path: str
    target: str

    def title(self) -> str:
        """The name people read."""
        return "link %s" % self.path

    def current(self, host: Host) -> Properties:
        """Where it points; nothing where there is no link."""
        path = host.at(self.path)
        return {"target": os.readlink(path)} if path.is_symlink() else {}

    def desired(self, host: Host) -> Properties:
        """As declared."""
        return {"target": self.target}

    def repair(self, host: Host, drift: Drift) -> None:
        """Point it at the target in one step; a real file is never overwritten."""
        path = host.at(self.path)
        if path.exists() and not path.is_symlink():
            raise Failure("%s is in the way: not a link" % self.path, hint="move it away, then deploy again")
        path.parent.mkdir(parents=True, exist_ok=True)
        link(path, self.target)
