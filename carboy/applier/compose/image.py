"""Resource: the image of an app, named by its content; built here, carried here, or pulled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Iterator, Tuple

from carboy.applier.compose.docker import inspect
from carboy.applier.host import Host
from carboy.applier.resource import Blob, Need, Properties, Resource


@dataclass(frozen=True)
class Image(Resource):
    """An image called `reference`, whose tag is the digest of all that goes into it; it begins with `base`.

    `files` are the texts of the folder that it is built from, by path, with modes; `manifest` lists the app's tree.
    """

    app: str
    reference: str
    base: str
    python: str
    manifest: Blob
    requirements: Blob
    files: Dict[str, Tuple[str, Blob]]

    def title(self) -> str:
        """The name people read."""
        return "image %s" % self.reference

    def key(self, host: Host) -> str:
        """The image's tag."""
        return self.reference.rpartition(":")[2]

    def identity(self, host: Host) -> str:
        """The engine's id of the image; empty if it has none."""
        found = inspect(host, "image", self.reference)
        return found[0]["Id"] if found else ""

    def current(self, host: Host) -> Properties:
        """The tag, if the engine has the image."""
        return {"image": self.key(host) if self.identity(host) else None}

    def desired(self, host: Host) -> Properties:
        """The tag."""
        return {"image": self.key(host)}

    def shows(self, host: Host) -> Iterator[Need]:
        """The texts, and the manifest of the tree."""
        for blob in (self.manifest, *(blob for _, blob in self.files.values())):
            if not host.has(blob.need):
                yield blob.need

    @property
    def order(self) -> Need:
        """What the controller is asked for where it is the one that builds."""
        return {
            "image": {
                "reference": self.reference,
                "base": self.base,
                "python": self.python,
                "manifest": self.manifest.sha256,
                "requirements": self.requirements.sha256,
                "files": {path: [mode, blob.sha256] for path, (mode, blob) in self.files.items()},
            }
        }
