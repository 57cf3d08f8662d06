"""The site of an app among the sites of a host's nginx: on disk as declared, and run with."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Tuple

from carboy.applier.file import unified
from carboy.applier.host import Host
from carboy.applier.nginx import control
from carboy.applier.resource import Blob, Drift, Need, Properties, Resource

STOCK = "/etc/nginx/sites-enabled/default"


@dataclass(frozen=True)
class Site(Resource):
    """A server file, with `files` (mode and content by name) that it refers to; `old_text` is for nginx before 1.25.1.

    nginx answers `mark` for it once it runs with it. `any_name`: it answers for every name, so Debian's own welcome
    page gives way. `beside` are files that others made there.
    """

    app: str
    folder: str
    text: Blob
    old_text: Blob
    files: Dict[str, Tuple[str, Blob]]
    mark: str
    ports: Tuple[int, ...]
    any_name: bool = False
    beside: Tuple[str, ...] = ()

    def title(self) -> str:
        """The name people read."""
        return "nginx site %s" % self.app

    @property
    def path(self) -> str:
        """Where it lies: after the sites of others, lest it answers where so far one of those did."""
        return "%s/%s" % (self.folder, self.file)

    @property
    def file(self) -> str:
        """Its name, which no other app's site has."""
        return "zz-carboy-%s.conf" % self.app

    @property
    def home(self) -> str:
        """Where its files lie, by names that change with the content."""
        return "/etc/nginx/carboy/" + self.app

    def current(self, host: Host) -> Properties:
        """What is on disk and what nginx runs with."""
        return {
            "text": _digest(host.at(self.path)),
            "files": self.wrong(host),
            "welcome page": self.welcomes(host),
            "runs with": control.ask(self.app, self.ports[0]) or "nothing of this app",
        }

    def desired(self, host: Host) -> Properties:
        """As declared; what it refers to in place, and nginx run with it."""
        return {"text": self.choice(host).sha256, "files": [], "welcome page": False, "runs with": self.mark}

    def lacks(self, host: Host) -> Iterator[Need]:
        """The text where it differs, in both forms if it is not known yet which nginx will read it."""
        yield from self.shows(host)
        for name, (_, blob) in self.files.items():
            if name in self.wrong(host) and not host.has(blob.need):
                yield blob.need

    def shows(self, host: Host) -> Iterator[Need]:
        """The text where it differs."""
        known = control.version(host)
        for blob in (self.choice(host),) if known else (self.text, self.old_text):
            if _digest(host.at(self.path)) != blob.sha256 and not host.has(blob.need):
                yield blob.need

    def repair(self, host: Host, drift: Drift) -> None:
        """Prove it, replace it, have nginx run with it; what does not come to that is taken back."""
        from carboy.applier.nginx.change import change

        change(host, self)

    def diff(self, host: Host) -> str:
        """The change of the server file; of what it refers to only the names."""
        path, choice = host.at(self.path), self.choice(host)
        names = "".join("(%s is missing or differs)\n" % name for name in self.wrong(host))
        if _digest(path) == choice.sha256:
            return names
        return names + unified(
            self.path, path.read_bytes() if path.exists() else b"", host.blob(choice.need).read_bytes()
        )

    def choice(self, host: Host) -> Blob:
        """The text in the words of this host's nginx."""
        return self.old_text if () < control.version(host) < control.MODERN else self.text

    def wrong(self, host: Host) -> List[str]:
        """The files that are not there as declared."""
        return [name for name, (mode, blob) in self.files.items() if not self._right(host, name, mode, blob)]

    def _right(self, host: Host, name: str, mode: str, blob: Blob) -> bool:
        path = host.at(self.home) / name
        return _digest(path) == blob.sha256 and path.stat().st_mode & 0o7777 == int(mode, 8)

    def welcomes(self, host: Host) -> bool:
        """Whether Debian's own page stands where the app is to answer; a page of somebody else's is left alone."""
        stock = host.at(STOCK)
        return self.any_name and stock.is_symlink() and os.readlink(stock).endswith("sites-available/default")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
