"""A virtual environment per set of requirements: built where it will live, complete or absent."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import sys
from dataclasses import dataclass
from typing import Iterator

from carboy.applier.host import Host
from carboy.applier.resource import Blob, Drift, Failure, Need, Properties, Resource, Weight

COMPLETE = "carboy.json"
VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"


@dataclass(frozen=True)
class Venv(Resource):
    """The packages that `requirements` names, for one Python; releases with the same requirements share it.

    `packages` says where they come from: "wheelhouse" (resolved and shipped by the controller) or the host's "index".
    """

    root: str
    requirements: Blob
    python: str = "python3"
    packages: str = "wheelhouse"

    def title(self) -> str:
        """The name people read."""
        return "venv %s" % self.root

    def key(self, host: Host) -> str:
        """The venv's folder name: requirements, Python and platform decide it, and nothing else."""
        facts = [self.requirements.sha256, self.version(host), platform.machine(), *platform.libc_ver(), self.packages]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]

    def path(self, host: Host) -> str:
        """Where the venv of this key lives."""
        return "%s/%s" % (self.root, self.key(host))

    def current(self, host: Host) -> Properties:
        """The key, if a venv of that key is complete and its Python still there."""
        path = host.at(self.path(host))
        whole = (path / COMPLETE).exists() and (path / "bin/python").exists()
        return {"key": path.name if whole else None}

    def desired(self, host: Host) -> Properties:
        """The key that requirements, Python and platform give."""
        return {"key": self.key(host)}

    def lacks(self, host: Host) -> Iterator[Need]:
        """An installer; then the wheels by name, and each wheel; or the requirements for the host's own index."""
        from carboy.applier.packages import lacks

        return lacks(self, host)

    def weighs(self, host: Host) -> Iterator[Weight]:
        """All wheels unpacked, as soon as the controller has named them; what an index will give nobody knows."""
        from carboy.applier.packages import weighs

        return weighs(self, host)

    def repair(self, host: Host, drift: Drift) -> None:
        """Build it in place, and mark it complete last."""
        from carboy.applier.packages import build

        build(self, host)

    def interpreter(self) -> str:
        """The host's Python that it is made with."""
        found = sys.executable if self.python == "python3" else shutil.which(self.python)
        if not found:
            raise Failure("the host has no %s" % self.python, hint="install it, or set app_python to one the host has")
        return found

    def version(self, host: Host) -> str:
        """Major and minor of that Python."""
        if self.python == "python3":
            return "%d.%d" % sys.version_info[:2]
        return host.run(self.interpreter(), "-I", "-S", "-c", VERSION).strip()
