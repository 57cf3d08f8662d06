"""A file with given content, mode and owner."""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

from carboy.applier.host import Host, remove
from carboy.applier.resource import Blob, Drift, Failure, Need, Properties, Resource


@dataclass(frozen=True)
class File(Resource):
    """A file; `check` is a command that must accept the new content ({} is its path) before it replaces the old."""

    path: str
    content: Blob
    mode: str = "0644"
    owner: str = "root"
    group: str = "root"
    check: str = ""
    secret: bool = False

    def title(self) -> str:
        """The name people read."""
        return "file %s" % self.path

    def current(self, host: Host) -> Properties:
        """Digest of the content, mode and owner; all None where there is no file."""
        path = host.at(self.path)
        if not path.is_file() or path.is_symlink():
            return {}
        return {"content": hashlib.sha256(path.read_bytes()).hexdigest(), **ownership(path)}

    def desired(self, host: Host) -> Properties:
        """As declared."""
        return {"content": self.content.sha256, "mode": self.mode, "owner": self.owner, "group": self.group}

    def lacks(self, host: Host) -> Iterator[Need]:
        """The content, where it differs."""
        if "content" in self.drift(host) and not host.has(self.content.need):
            yield self.content.need

    shows = lacks

    def repair(self, host: Host, drift: Drift) -> None:
        """Replace the content whole, after its check; or only mend mode and owner."""
        path = host.at(self.path)
        if "content" not in drift:
            own(path, self.mode, self.owner, self.group)
            return
        if path.is_symlink() or path.is_dir():
            raise Failure("%s is not a plain file" % self.path, hint="move it away, then deploy again")
        draft = path.with_name(".%s.carboy" % path.name)
        self._draft(host, draft)
        os.replace(draft, path)

    def diff(self, host: Host) -> str:
        """Unified diff of the text; only the fact of a change where the file is secret or not text."""
        if self.secret:
            return "(secret content differs)\n"
        if "content" not in self.drift(host):
            return ""
        path = host.at(self.path)
        old = path.read_bytes() if path.is_file() else b""
        return unified(self.path, old, host.blob(self.content.need).read_bytes())

    def _draft(self, host: Host, draft: Path) -> None:
        remove(draft)
        draft.touch(0o600)
        draft.write_bytes(host.blob(self.content.need).read_bytes())
        own(draft, self.mode, self.owner, self.group)
        done = host.call(*[part.replace("{}", str(draft)) for part in shlex.split(self.check or "true")])
        if done.returncode:
            remove(draft)
            raise Failure(
                "the check of %s refused the new content" % self.path,
                details=(done.stdout + done.stderr).strip(),
                hint="mend its template or settings; the old file is untouched",
            )


def unified(name: str, old: bytes, new: bytes) -> str:
    """Unified diff of two texts, or one line where one of them is not text."""
    try:
        before, after = old.decode().splitlines(True), new.decode().splitlines(True)
    except UnicodeDecodeError:
        return "(binary content of %s differs)\n" % name
    import difflib  # here, because an unchanged run shows nothing and need not pay for the import

    return "".join(difflib.unified_diff(before, after, name, name))


def ownership(path: Path) -> Properties:
    """Mode as four octal digits, owner and group by name (or number where nameless)."""
    stat = path.lstat()
    try:
        owner = pwd.getpwuid(stat.st_uid).pw_name
        group = grp.getgrgid(stat.st_gid).gr_name
    except KeyError:
        owner, group = str(stat.st_uid), str(stat.st_gid)
    return {"mode": "%04o" % (stat.st_mode & 0o7777), "owner": owner, "group": group}


def own(path: Path, mode: str, owner: str, group: str) -> None:
    """Set owner, group and mode, in the order that keeps set-id bits."""
    try:
        os.chown(path, pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid)
    except KeyError as missing:
        raise Failure("%s: %s" % (path, missing.args[0]), hint="declare the user before what it owns") from missing
    os.chmod(path, int(mode, 8))
