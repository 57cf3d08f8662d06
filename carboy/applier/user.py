"""A system user with a group of the same name."""

from __future__ import annotations

import grp
import pwd
from dataclasses import dataclass

from carboy.applier.host import Host
from carboy.applier.resource import Drift, Properties, Resource


@dataclass(frozen=True)
class User(Resource):
    """A user without password or login, as services have; an existing user keeps its number."""

    name: str
    home: str
    shell: str = "/usr/sbin/nologin"

    def title(self) -> str:
        """The name people read."""
        return "user %s" % self.name

    def current(self, host: Host) -> Properties:
        """Home, shell and primary group; nothing where there is no user."""
        try:
            entry = pwd.getpwnam(self.name)
            return {"home": entry.pw_dir, "shell": entry.pw_shell, "group": grp.getgrgid(entry.pw_gid).gr_name}
        except KeyError:
            return {}

    def desired(self, host: Host) -> Properties:
        """As declared."""
        return {"home": self.home, "shell": self.shell, "group": self.name}

    def repair(self, host: Host, drift: Drift) -> None:
        """Create the user, or mend the properties that differ."""
        if self.current(host):
            host.run("usermod", "--home", self.home, "--shell", self.shell, "--gid", self.name, self.name)
            return
        group = ["--gid", self.name] if self._has_group() else ["--user-group"]
        host.run(
            "useradd", "--system", *group, "--home-dir", self.home, "--no-create-home", "--shell", self.shell, self.name
        )

    def _has_group(self) -> bool:
        return any(entry.gr_name == self.name for entry in grp.getgrall())
