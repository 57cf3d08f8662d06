"""Resource: a complete release that runs as a container; its tree and its packages are in the image."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator

from carboy.applier import release
from carboy.applier.compose.docker import project
from carboy.applier.compose.image import Image
from carboy.applier.host import Host
from carboy.applier.resource import Need, Properties, Weight
from carboy.applier.store import MANIFEST, Store


@dataclass(frozen=True)
class Release(release.Release):
    """Compose file, environment and hooks beside the name of the image, which is in the place of the venv."""

    venv: Image  # type: ignore[assignment]

    def current(self, host: Host) -> Properties:
        """Whether a complete release of this digest is there, of the very image that the engine has."""
        store = Store(host, self.app)
        found = store.find(self.digest)
        fits = found and store.record(found)["image"] == self.venv.identity(host)
        return {"complete": self.digest[:8] if fits else None}

    def lacks(self, host: Host) -> Iterator[Need]:
        """The texts and the manifest; the tree travels for the image."""
        return self.shows(host)

    def weighs(self, host: Host) -> Iterator[Weight]:
        """Next to nothing."""
        return iter(())

    def _record(self, host: Host) -> Dict[str, Any]:
        return {**super()._record(host), "reference": self.venv.reference, "image": self.venv.identity(host)}

    def _lay_out(self, host: Host, path: Path) -> None:
        from carboy.applier.file import own
        from carboy.applier.host import write
        from carboy.applier.parts import lay

        path.mkdir(mode=0o755)
        lay(host, self.app, path, self.files)
        write(path / MANIFEST, host.blob(self.manifest.need).read_bytes())
        write(path / ".env", _environment(host, self, path.name).encode())
        # The app reads it in its container, as itself.
        own(path / "environment", "0400", self.app, self.app)

    def _check(self, host: Host, name: str, path: Path) -> None:
        for check in self.checks:
            host.run(*[part.format(path=path, release=name) for part in shlex.split(check)])


def _environment(host: Host, of: Release, name: str) -> str:
    """What the Compose file leaves open: the names of this release, and the app's user on this host."""
    import pwd  # here, because an unchanged run need not pay for it

    user = pwd.getpwnam(of.app)
    values = {
        # By its id: what a tag leads to can change.
        "IMAGE": of.venv.identity(host),
        "PROJECT": project(of.app, name),
        "RELEASE": name,
        "USER": "%d:%d" % (user.pw_uid, user.pw_gid),
    }
    return "".join("CARBOY_%s=%s\n" % pair for pair in values.items())
