"""Throw-away hosts on this machine: containers with systemd and a real sshd, to deploy to before a VM is at hand."""

from __future__ import annotations

from pathlib import Path

from carboy.sandbox import files, image
from carboy.sandbox.container import Container, ContainerHost, HostOptions, container_name, create, reach, remove_all
from carboy.sandbox.engine import find
from carboy.sandbox.errors import SandboxError
from carboy.sandbox.image import Progress

__all__ = ["ContainerHost", "HostOptions", "SandboxError", "build", "clean", "create", "down", "up"]
STATE = Path(".carboy")


def up(name: str = "sandbox", *, progress: Progress, state: Path = STATE) -> ContainerHost:
    """Have a container host of that name run, whatever was there before, and write down how it is reached."""
    container = Container(find(), container_name(name, state))
    match container.status():
        case "":
            host = create(name, HostOptions(publish_http=True, familiar_port=True), state=state, progress=progress)
        case "running":
            host = _adopt(name, container, state)
        case _:
            progress(f"starting {container.name} again")
            container.engine.run("start", container.name)
            host = _adopt(name, container, state)
    files.remember(host, state)
    return host


def down(name: str = "sandbox", *, state: Path = STATE) -> bool:
    """Remove the container host of that name and all on it; False if there was none."""
    container = Container(find(), container_name(name, state))
    existed = bool(container.status())
    container.remove()
    files.forget(name, state)
    return existed


def clean(*, state: Path = STATE) -> list[str]:
    """Remove every container of this checkout, such as those that a killed test left, and return their names."""
    names = remove_all(state)
    for name in files.hosts(state):
        files.forget(name, state)
    return names


def build(*, progress: Progress, variant: str = image.PLAIN) -> str:
    """Have the image of a kind of host ready, and return its tag."""
    return image.ensure(find(), progress, variant)


def _adopt(name: str, container: Container, state: Path) -> ContainerHost:
    key = files.key_pair(state)
    # The host outlives the checkout's .carboy/, so its key may be one that is gone.
    container.shell(f"echo '{files.public_key(key)}' >/home/deploy/.ssh/authorized_keys")
    return reach(name, container, key)
