"""The resource that is one object of a cluster."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Dict

from carboy.applier.resource import Resource

RELEASE = "carboy/release"
MANAGED = {"app.kubernetes.io/managed-by": "carboy"}
CONFIG = "env"
Object = Dict[str, Any]


@dataclass(frozen=True)
class Manifest(Resource):
    """An object as it should be, as JSON; the verbs of Kubernetes read and apply all of an app's at once."""

    kind: str
    name: str
    text: str

    def title(self) -> str:
        """The name people read."""
        return "%s %s" % (self.kind.lower(), self.name)

    @property
    def content(self) -> Object:
        """The object itself, made anew each time."""
        return json.loads(self.text)  # type: ignore[no-any-return]
