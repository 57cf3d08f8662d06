"""Which keys log in as a user."""

from __future__ import annotations

import grp
import pwd
from dataclasses import dataclass
from typing import Iterator

from carboy.applier.directory import Directory
from carboy.applier.file import File
from carboy.applier.host import Host
from carboy.applier.resource import Blob, Drift, Need, Properties, Resource


@dataclass(frozen=True)
class Keys(Resource):
    """The whole authorized_keys of a user, wherever on the host that user's home is."""

    user: str
    content: Blob

    def title(self) -> str:
        """The name people read."""
        return "keys of %s" % self.user

    @property
    def path(self) -> str:
        """Where the file lies."""
        return self._folder.path + "/authorized_keys"

    def current(self, host: Host) -> Properties:
        """Of the file."""
        return self._file.current(host)

    def desired(self, host: Host) -> Properties:
        """Of the file."""
        return self._file.desired(host)

    def lacks(self, host: Host) -> Iterator[Need]:
        """The content, where it differs."""
        return self._file.lacks(host)

    shows = lacks

    def diff(self, host: Host) -> str:
        """Of the file."""
        return self._file.diff(host)

    def repair(self, host: Host, drift: Drift) -> None:
        """Put the file in place, in a folder that sshd takes keys from."""
        if self._folder.drift(host):
            self._folder.repair(host, {})
        self._file.repair(host, drift)

    @property
    def _folder(self) -> Directory:
        entry = pwd.getpwnam(self.user)
        return Directory(entry.pw_dir + "/.ssh", "0700", self.user, grp.getgrgid(entry.pw_gid).gr_name)

    @property
    def _file(self) -> File:
        return File(self.path, self.content, "0600", self.user, self._folder.group)
