"""Docker and Compose run the app: a container per release, with the limits and rights of its Compose file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from carboy import environment
from carboy.applier.compose.docker import Docker
from carboy.applier.compose.release import Release
from carboy.applier.cutover import Cutover
from carboy.applier.directory import Directory
from carboy.applier.file import File
from carboy.applier.link import Link
from carboy.applier.resource import Resource
from carboy.catalog import Content, digest
from carboy.errors import DeclarationError
from carboy.inventory import Host
from carboy.settings import Size
from carboy.template import template
from roles import release
from roles.app import Settings as App
from roles.image import Settings as Image
from roles.image import image, load
from roles.nginx import Settings as Nginx
from roles.release import Settings as ReleaseSettings
from roles.server import Files

REFUSES = {
    "packages_from": "wheels are resolved on the controller for the Python of image_base, so that the build needs "
    "no package index: leave it at wheelhouse",
}


@dataclass(frozen=True)
class Settings:
    """`compose_*`: what only containers know; the rest is said by `app_*` for every way alike."""

    app: App
    image: Image
    nginx: Nginx
    release: ReleaseSettings
    memory_min: Size | None = None
    cpus_min: float | None = None
    tmp_size: Size = Size(64 << 20)
    log_size: Size = Size(10 << 20)
    log_files: int = 3

    @property
    def stop_timeout(self) -> int:
        """Seconds until the engine kills: longer than the server's own grace."""
        return int(self.app.stop_timeout) + 10

    @property
    def publish(self) -> str:
        """The public address, and the port in the container that it leads to; empty for a unix socket."""
        return "" if self.socket else f"{self.app.listen}:{self.image.port}"

    @property
    def socket(self) -> bool:
        """Whether the public address is a unix socket, at which a release can follow another without a gap."""
        return self.app.listen.startswith("/")

    @property
    def run(self) -> str:
        """The folder of a release's own socket."""
        return f"{self.app.home}/run/${{CARBOY_RELEASE}}"

    @property
    def bind(self) -> str:
        """Where the server listens in its container."""
        return f"unix:{self.run}/app.sock" if self.socket else f"0.0.0.0:{self.image.port}"

    # Root's, and for the app's group to read.
    secret_mode: ClassVar[str] = "0440"

    def files(self, secrets: tuple[str, ...] = ()) -> Files:
        """What a release carries for Compose, by path, with the mode."""
        return {"compose.yaml": ("0644", template("compose/compose.yaml.j2", s=self, secrets=secrets))}

    @property
    def checks(self) -> tuple[str, ...]:
        """Commands that must accept a release before it is complete; {path} is its folder."""
        return ("docker compose --project-directory {path} config --quiet",)

    def validate(self) -> Iterator[tuple[str, ...]]:
        """What the types cannot say."""
        if self.memory_min and self.app.memory_max and self.memory_min > self.app.memory_max:
            yield "memory_min", "more is reserved than app_memory_max allows"
        if self.cpus_min and self.app.cpus and self.cpus_min > self.app.cpus:
            yield "cpus_min", "more is reserved than app_cpus allows"
        if self.log_files < 1:
            yield "log_files", f"{self.log_files} must be at least 1"


def resources(host: Host, s: Settings) -> Iterator[Resource]:
    """Declare the engine, the image, the release, and that it is the one that serves."""
    _refuse(host, s)
    tree = load(host, s.image)
    made = image(host, s.image, tree)
    kept = s.app.kept(host, s.secret_mode)
    files = {**s.files(environment.names(kept)), **release.hooks(s.release), **kept}
    gate = {**s.release.gate, "port": s.image.port, "socket_group": s.nginx.group}
    identity = digest(made.manifest, made, files, gate)
    yield Docker()
    yield Directory(f"{s.app.home}/images", mode="0700")
    yield from _public(s)
    yield made
    yield Release(s.app.name, identity, made.manifest, made, files, gate, s.checks, tree.revision)
    yield Cutover(s.app.name, identity, s.release.policy)


def _refuse(host: Host, s: Settings) -> None:
    """Raise `DeclarationError` for what the app is said to be and docker cannot make of it."""
    if s.app.proxy == "nginx" and not s.socket:
        what = f"app_listen is {s.app.listen}, where clients get past nginx"
        raise DeclarationError(what, where=host.where("app_listen"), hint=f"write app_listen: /run/{s.app.name}.sock")
    if s.app.memory_max and s.app.memory_max < 6 << 20:
        what = "app_memory_max is too small: docker runs nothing in less than 6M"
        raise DeclarationError(what, where=host.where("app_memory_max"), hint="raise it")


def _public(s: Settings) -> Iterator[Resource]:
    """The public socket, which leads to that of the release that is chosen, from boot on."""
    if s.socket:
        target = f"{s.app.home}/serving/app.sock"
        line = f"# Written by Carboy.\nL+ {s.app.listen} - - - - {target}\n"
        yield File(f"/etc/tmpfiles.d/carboy-{s.app.name}.conf", Content.of(line))
        yield Link(s.app.listen, target)
