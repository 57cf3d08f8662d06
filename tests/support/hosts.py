"""Real hosts for tests: containers with systemd and sshd, always removed again, and the ways a host can be odd."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from carboy.sandbox import ContainerHost, HostOptions, SandboxError, build, create
from carboy.sandbox.container import Container, container_name
from carboy.sandbox.engine import find

STATE = Path(__file__).parents[2] / ".carboy"
PASSWORD = "correct horse"


@contextmanager
def container_host(options: HostOptions | None = None, *, state: Path = STATE) -> Iterator[ContainerHost]:
    """Have a fresh host for the length of a `with` block; skips the test where there can be none."""
    require_hosts(options.variant if options else "")
    name = f"test-{secrets.token_hex(3)}"
    try:
        yield create(name, options or HostOptions(), state=state, progress=print)
    finally:
        Container(find(), container_name(name, state)).remove()


@pytest.fixture(scope="session")
def systemd_host() -> Iterator[ContainerHost]:
    """One host for all tests that leave it as they found it."""
    with container_host() as host:
        yield host


def require_hosts(variant: str = "") -> None:
    """Skip the test if this machine cannot run hosts, or fail it where CARBOY_REQUIRE_HOSTS=1 demands them."""
    try:
        build(progress=print, variant=variant)
    except SandboxError as error:
        if os.environ.get("CARBOY_REQUIRE_HOSTS") == "1":
            pytest.fail(str(error), pytrace=False)
        pytest.skip(error.what)


def small_filesystem(megabytes: int, *, at: str = "/srv") -> HostOptions:
    """Options of a host on which the space runs out after so many MB."""
    return HostOptions(tmpfs={at: megabytes})


def with_sudo_password(host: ContainerHost) -> str:
    """Let the host's sudo ask for a password, and return that."""
    host.container.shell(f"echo '{host.user}:{PASSWORD}' | chpasswd; echo '{host.user} ALL=(ALL) ALL' >{_rule(host)}")
    return PASSWORD


def without_sudo_rights(host: ContainerHost) -> None:
    """Take the user out of sudoers."""
    host.container.shell(f"rm {_rule(host)}")


def without_sudo(host: ContainerHost) -> None:
    """Take away the sudo program."""
    host.container.shell("SUDO_FORCE_REMOVE=yes dpkg --purge sudo")


def without_python(host: ContainerHost) -> None:
    """Remove python3; apt can bring it back where the host reaches its package mirror."""
    host.container.shell("apt-get purge -y --autoremove python3 python3-minimal 'libpython3*-minimal'")


def with_noisy_shell(host: ContainerHost, noise: str = "Welcome! Disk 81% full.") -> None:
    """Let every login and every command of the user print to stdout first."""
    home = f"/home/{host.user}"
    # Debian's .bashrc returns early when not interactive, so the noise has to come before that.
    host.container.shell(f"for f in .bashrc .profile; do sed -i '1i echo \"{noise}\"' {home}/$f; done")


def _rule(host: ContainerHost) -> str:
    return f"/etc/sudoers.d/90-{host.user}"
