"""The container engine of this machine: which one it is, how it is called, and what it needs to boot systemd."""

from __future__ import annotations

import contextlib
import functools
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from carboy.sandbox.errors import SandboxError

NAMES = ("podman", "docker")
CGROUP_V2 = Path("/sys/fs/cgroup/cgroup.controllers")
INOTIFY_INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
ID_CHARACTERS = 64
MOST = 32768  # podman grants no more processes than this, whatever its caller may have


@dataclass(frozen=True)
class Engine:
    """One container engine, called as a program."""

    name: str
    cgroup_v2: bool

    def run(self, *arguments: str, stdin: IO[bytes] | None = None) -> str:
        """Call the engine and return what it printed; SandboxError with its last words if it fails."""
        return _output([self.name, *arguments], stdin)

    def execute(self, container: str, *command: str) -> str:
        """Run a command in a container as root and return what it printed; SandboxError if it fails."""
        # podman takes a quarter of a second to find out what the runtime, told the whole id, knows by itself.
        direct = self.owns_cgroup and len(container) == ID_CHARACTERS
        return _output(["runc" if direct else self.name, "exec", container, *command])

    def succeeds(self, *arguments: str) -> bool:
        """Call the engine and say whether it exited with 0."""
        return not subprocess.run([self.name, *arguments], stdin=subprocess.DEVNULL, capture_output=True).returncode

    def remove(self, container: str) -> None:
        """Remove a container at once; one that is already gone is no error."""
        # docker's rm never waits for the shutdown; podman's does, unless told not to.
        at_once = ("--time", "0") if self.name == "podman" else ()
        self.succeeds("rm", "--force", "--volumes", *at_once, container)

    @property
    def owns_cgroup(self) -> bool:
        """Whether the host makes its own systemd hierarchy (see image/entry.sh)."""
        return self.name == "podman" and not self.cgroup_v2

    def boot_flags(self) -> Iterator[str]:
        """Yield the flags of `run` with which systemd boots as PID 1 and its units can be sandboxed and limited."""
        yield from self._podman_flags() if self.name == "podman" else self._docker_flags()
        yield from _common_flags()

    def plain_flags(self) -> Iterator[str]:
        """Yield the flags of `run` for a host without systemd, which needs no privileges."""
        if self.name == "podman":
            yield "--systemd=false"
        if self.owns_cgroup:
            yield "--runtime=runc"
        # As the image says, systemd's own signal would be sent to stop it.
        yield "--stop-signal=SIGTERM"
        yield from _common_flags()

    def _podman_flags(self) -> Iterator[str]:
        # Rootless on cgroup v2 follows podman's documentation and is untried: no such machine was at hand.
        yield from ("--systemd=always", "--privileged", "--cgroupns=private")
        if not self.cgroup_v2:
            yield "--runtime=runc"  # crun refuses hybrid cgroups

    def _docker_flags(self) -> Iterator[str]:
        # Both forms are untried here: the first is docker's documented way, the second was run with docker 20.10.
        yield from ("--env=container=docker", "--tmpfs=/run", "--tmpfs=/run/lock", "--tmpfs=/tmp")
        if self.cgroup_v2:
            yield from ("--privileged", "--cgroupns=private")
        else:
            yield from ("--cap-add=SYS_ADMIN", "--security-opt=seccomp=unconfined")
            yield "--volume=/sys/fs/cgroup:/sys/fs/cgroup:ro"


@functools.cache
def find() -> Engine:
    """Return the engine that works on this machine: podman if it does, else docker, else a SandboxError says why."""
    cgroup_v2 = CGROUP_V2.exists()
    problems = {name: _problem(name, cgroup_v2) for name in NAMES}
    for name, problem in problems.items():
        if not problem:
            _raise_inotify_limit()
            return Engine(name, cgroup_v2)
    reasons = "; ".join(f"{name} {problem}" for name, problem in problems.items())
    raise SandboxError(
        f"no container engine works here: {reasons}",
        hint="make setup installs podman; on a machine with cgroup v1, run it as root",
    )


def _output(command: list[str], stdin: IO[bytes] | None = None) -> str:
    done = subprocess.run(command, stdin=stdin or subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        program, verb, *_ = command
        raise SandboxError(f"{program} {verb} failed: {last_line(done.stderr)}", where=" ".join(command[:12]))
    return done.stdout.decode(errors="replace").strip()


def last_line(output: bytes) -> str:
    """Return the last line of a program's output that says something."""
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"


def _problem(name: str, cgroup_v2: bool) -> str:
    if not shutil.which(name):
        return "is not installed"
    if name == "podman" and os.geteuid() and not cgroup_v2:
        return "needs root to boot systemd on cgroup v1"
    done = subprocess.run([name, "info"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return f"says: {last_line(done.stderr)}" if done.returncode else ""


def _common_flags() -> Iterator[str]:
    yield from limits()
    if CA_BUNDLE.exists():
        yield f"--volume={CA_BUNDLE}:{CA_BUNDLE}:ro"


def limits() -> Iterator[str]:
    """Yield the flags of `run` that a caller without CAP_SYS_RESOURCE needs."""
    # The engines' own defaults can lie above what a caller without CAP_SYS_RESOURCE may grant, and the start fails.
    for name, kind in (("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC)):
        hard = resource.getrlimit(kind)[1]
        limit = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
        yield f"--ulimit={name}={limit}:{limit}"


def _raise_inotify_limit() -> None:
    # Every systemd takes several instances; with the usual 128 the 21st host hangs in boot without an error.
    with contextlib.suppress(OSError, ValueError):
        if int(INOTIFY_INSTANCES.read_text()) < 1024:
            INOTIFY_INSTANCES.write_text("1024")
