"""A container that is a host: systemd as PID 1 or none, a real sshd, and the engine as its console."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from carboy.sandbox import files, image
from carboy.sandbox.engine import Engine, find
from carboy.sandbox.errors import SandboxError
from carboy.sandbox.image import Progress

ADDRESS = "127.0.0.1"
USER = "deploy"
HTTP_PORT = 8000
BOOT_SECONDS = 90
WITHOUT_SYSTEMD = ("cron",)
"""Variants of hosts that are no more than cron and sshd, and have no privileges."""
READY = """
if command -v systemctl >/dev/null; then systemctl is-system-running --wait; else echo running; fi
cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub
"""


@dataclass(frozen=True)
class HostOptions:
    """What a container host may have beside the usual."""

    image: str = ""
    variant: str = ""
    """Another kind of host than Debian 12 with systemd: a folder of carboy/sandbox/image."""
    publish_http: bool = False
    familiar_port: bool = False
    """Take the same port on this machine if it is free; hosts that start at the same moment would race for it."""
    tmpfs: Mapping[str, int] = field(default_factory=dict)
    """Small filesystems: mount point -> size in MB."""
    extra: tuple[str, ...] = ()
    """Further arguments of the engine's `run`."""


@dataclass(frozen=True)
class Container:
    """A container by its name, seen through the engine."""

    engine: Engine
    name: str
    id: str = field(default="", compare=False)
    """The engine's own name for it, which is known of one that was just made."""

    def exec(self, *command: str) -> str:
        """Run a command in the container as root and return its output; SandboxError if it fails."""
        return self.engine.execute(self.id or self.name, *command)

    def shell(self, script: str) -> str:
        """Run a shell script in the container as root, stopping at its first error."""
        return self.exec("sh", "-ec", script)

    def status(self) -> str:
        """Return the engine's word for the container's state, "" if there is none."""
        try:
            return self.engine.run("container", "inspect", "--format", "{{.State.Status}}", self.name)
        except SandboxError:
            return ""

    def ports(self) -> dict[int, int]:
        """Return which port of this machine leads to which published port of the container."""
        lines = self.engine.run("port", self.name).splitlines()
        pairs = (line.split("/tcp -> ", 1) for line in lines if "/tcp -> " in line)
        return {int(inside): int(place.rpartition(":")[2]) for inside, place in pairs}

    def snapshot(self, tag: str) -> str:
        """Keep the container's files as an image to start other hosts from, and return the image's name."""
        name = f"{image.REPOSITORY}-snapshot:{tag}"
        self.engine.run("commit", "--quiet", self.name, name)
        return name

    def remove(self) -> None:
        """Remove the container at once; one that is gone already is no error."""
        self.engine.remove(self.name)


@dataclass(frozen=True)
class ContainerHost:
    """A running container host, and all that is needed to reach it over SSH."""

    name: str
    container: Container
    key_file: Path
    port: int
    host_key: str
    """The public host key, read through the engine: "ssh-ed25519 AAAA..."."""
    http_port: int | None = None
    address: str = ADDRESS
    user: str = USER

    @property
    def url(self) -> str | None:
        """Where this machine reaches what the host serves on port 8000, None if that is not published."""
        return f"http://{self.address}:{self.http_port}/" if self.http_port else None

    def reboot(self) -> ContainerHost:
        """Restart the host and return it once it has booted; docker may give it other ports."""
        self.container.engine.run("restart", self.container.name)
        return reach(self.name, self.container, self.key_file)


def create(name: str, options: HostOptions, *, state: Path, progress: Progress) -> ContainerHost:
    """Start a new container host and return it once it has booted."""
    engine = find()
    container = Container(engine, container_name(name, state))
    key = files.key_pair(state)
    tag = options.image or image.ensure(engine, progress, options.variant)
    boot = engine.plain_flags() if options.variant in WITHOUT_SYSTEMD else engine.boot_flags()
    progress(f"starting {container.name} with {engine.name}")
    entry = ("/usr/local/sbin/carboy-entry", files.public_key(key), "own" if engine.owns_cgroup else "shared")
    identity = (f"--name={container.name}", f"--hostname={name}", *labels(state))
    try:
        made = engine.run("run", "--detach", *identity, *boot, *_option_flags(options), tag, *entry)
    except SandboxError:
        container.remove()  # the engine leaves behind what it created but could not start
        raise
    return reach(name, replace(container, id=made), key)


def reach(name: str, container: Container, key: Path) -> ContainerHost:
    """Wait until a started container has booted, and read its ports and its host key."""
    ports = container.ports()
    if 22 not in ports:
        raise SandboxError(f"{container.name} stopped as soon as it had started", hint=_console(container))
    _await_sshd(container, ports[22])
    status, host_key = container.exec("sh", "-c", READY).splitlines()[-2:]
    if status not in ("running", "degraded"):
        raise SandboxError(f"{container.name} did not boot: systemd says {status}", hint=_console(container))
    return ContainerHost(name, container, key, ports[22], host_key, http_port=ports.get(HTTP_PORT))


def container_name(name: str, state: Path) -> str:
    """Return a container's name, which no other checkout on this machine uses."""
    return f"carboy-{name}-{files.checkout(state)}"


def labels(state: Path) -> tuple[str, str]:
    """Return the flags that mark a container as Carboy's, and as this checkout's."""
    return "--label=carboy=1", f"--label=carboy.checkout={files.checkout(state)}"


def remove_all(state: Path) -> list[str]:
    """Remove all containers of this checkout and their snapshots, and return the containers' names."""
    engine, mine = find(), f"label=carboy.checkout={files.checkout(state)}"
    names = engine.run("ps", "--all", "--filter", mine, "--format", "{{.Names}}").split()
    for name in names:
        engine.remove(name)
    snapshots = engine.run("images", "--filter", mine, "--quiet").split()
    if snapshots:
        engine.run("rmi", "--force", *snapshots)
    return names


def _option_flags(options: HostOptions) -> list[str]:
    port = _free_port() if options.familiar_port else ""
    http = [f"--publish={ADDRESS}:{port}:{HTTP_PORT}"] if options.publish_http else []
    small = [f"--tmpfs={point}:rw,mode=0755,size={size}m" for point, size in options.tmpfs.items()]
    return [f"--publish={ADDRESS}::22", *http, *small, *options.extra]


def _free_port() -> str:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, HTTP_PORT))
        except OSError:
            return ""  # the engine then picks a free one
    return str(HTTP_PORT)


def _await_sshd(container: Container, port: int) -> None:
    deadline = time.monotonic() + BOOT_SECONDS
    while not _banner(port).startswith(b"SSH-"):
        # Asking the engine each time keeps this from spinning, and a container that died is noticed at once.
        if container.status() != "running" or time.monotonic() > deadline:
            raise SandboxError(f"{container.name} does not get to sshd", hint=_console(container))


def _banner(port: int) -> bytes:
    try:
        with socket.create_connection((ADDRESS, port), timeout=2) as connection:
            return connection.recv(64)
    except OSError:
        return b""


def _console(container: Container) -> str:
    return f"{container.engine.name} logs {container.name}"
