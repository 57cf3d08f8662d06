"""The app as a container image: what it is built from, where, and how it travels."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from carboy import requirements, source
from carboy.applier.compose.built import Built
from carboy.applier.compose.carried import Carried
from carboy.applier.compose.image import Image
from carboy.applier.compose.pulled import Pulled
from carboy.applier.resource import Resource
from carboy.catalog import digest
from carboy.errors import DeclarationError
from carboy.inventory import Host
from carboy.template import template
from roles.app import Settings as App
from roles.nginx import Settings as Nginx
from roles.server import Files
from roles.server import Settings as Server

COMPONENT = r"[a-z0-9]+(__?[a-z0-9]+)*"
REGISTRY = r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"


@dataclass(frozen=True)
class Settings:
    """`image_*`: base is what the image begins with, build where it is made, registry where it is kept if anywhere."""

    app: App
    server: Server
    nginx: Nginx
    base: str = "python:3.12-slim"
    build: Literal["host", "controller"] = "host"
    registry: str = ""
    uid: int = 10001

    @property
    def folder(self) -> str:
        """Where the release lies in the image."""
        return f"{self.app.home}/release"

    @property
    def port(self) -> int:
        """The port that the server listens on in its container."""
        return 8000 if self.app.listen.startswith("/") else int(self.app.listen.rpartition(":")[2])

    @property
    def command(self) -> str:
        """What starts the app, in the form that no shell reads."""
        return json.dumps(self.server.chosen.command.replace("%r", self.folder).split())

    @property
    def repository(self) -> str:
        """The image's name, without its tag."""
        return f"{self.registry}/{self.app.name}" if self.registry else f"carboy/{self.app.name}"

    def files(self) -> Files:
        """What the image is built from beside the app's tree and its packages, by path in the build's folder."""
        return {
            "Dockerfile": ("0644", template("image/Dockerfile.j2", s=self)),
            ".dockerignore": ("0644", template("image/dockerignore")),
            "release/carboy_start.py": ("0644", template("image/start.py")),
            "release/carboy_health.py": ("0644", template("image/health.py.j2", s=self)),
            **{f"release/{path}": file for path, file in {**self.server.chosen.files(), **self.nginx.files()}.items()},
        }

    def validate(self) -> Iterator[tuple[str, ...]]:
        """What the types cannot say."""
        if not re.fullmatch(r"[a-z0-9][\w./:@-]*", self.base):
            yield "base", f"{self.base!r} is no name of an image", "write it like python:3.12-slim"
        if self.registry and not re.fullmatch(REGISTRY, self.registry):
            yield "registry", f"{self.registry!r} is no registry", "write it like registry.example.com/team"
        if self.registry and self.build == "host":
            yield "build", "what a registry keeps is built on the controller", "set image_build: controller"
        if not 1 <= self.uid <= 65533:
            yield "uid", f"{self.uid} is no number of a user without rights", "write one from 1 to 65533"


def load(host: Host, s: Settings) -> source.Source:
    """The app's tree as it is now."""
    app = s.app
    return source.load(
        app.source, ref=app.ref, include=app.include, exclude=app.exclude, where=host.where("app_source")
    )


def image(host: Host, s: Settings, tree: source.Source | None = None) -> Image:
    """The image of the app, of this tree or of the one that is declared now."""
    _refuse(host, s.app)
    tree = tree or load(host, s)
    where, server = host.where("app_requirements"), s.server.chosen.requires
    texts = requirements.content(tree, s.app.requirements, s.app.requires, where=where, server=server)
    manifest, files = tree.manifest, s.files()
    key = digest(manifest, texts, files, s.base)[:12]
    kind = Pulled if s.registry else Built if s.build == "host" else Carried
    return kind(s.app.name, f"{s.repository}:{key}", s.base, s.app.python, manifest, texts, files)


def _refuse(host: Host, app: App) -> None:
    """Raise `DeclarationError` for what runs without a container and no image can be made of."""
    if not re.fullmatch(COMPONENT, app.name):
        what = f"app_name is {app.name}, which no image may be called"
        hint = "end with a letter or digit, and write at most two _ one after the other"
        raise DeclarationError(what, where=host.where("app_name"), hint=hint)
    if not re.fullmatch(r"[\w./+-]+", app.python):
        what = f"app_python is {app.python!r}, which is no program in image_base"
        raise DeclarationError(what, where=host.where("app_python"), hint="write it like python3 or /usr/bin/python3")


def resources(host: Host, s: Settings) -> Iterator[Resource]:  # noqa: ARG001 - every role has this form
    """Nothing by itself: whatever runs the image declares it."""
    yield from ()
