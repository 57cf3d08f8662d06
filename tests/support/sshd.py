"""OpenSSH's own sshd as a child of the test: on a free port, with keys and a configuration of the test's."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from carboy.errors import UnreachableError
from carboy.inventory import Host
from carboy.ssh.connection import Connection

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
READY = "Server listening on"
CONFIG = """\
ListenAddress 127.0.0.1
Port {port}
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
AuthorizedKeysFile {folder}/authorized_keys
LogLevel VERBOSE
"""


@dataclass
class Sshd:
    """A server that lets in the keys of its authorized_keys, as the user who runs the tests."""

    folder: Path
    port: int
    log: Path

    def let_in(self, *keys: Path) -> None:
        """Let in these keys and no others."""
        (self.folder / "authorized_keys").write_text("".join(map(public, keys)))

    def host_key(self, kind: str = "ed25519") -> str:
        """A host key as it stands in known_hosts after the name."""
        return " ".join((self.folder / f"host_{kind}.pub").read_text().split()[:2])

    def line(self, kind: str = "ed25519", name: str = "") -> str:
        """The line of known_hosts that pins a host key."""
        return f"{name or f'[127.0.0.1]:{self.port}'} {self.host_key(kind)}\n"

    def logins(self) -> int:
        """How many logins there were."""
        return self.log.read_text().count("Accepted publickey")


@contextmanager
def sshd(
    folder: Path,
    *options: str,
    kinds: Iterable[str] = ("ed25519",),
    prepare: Callable[[Path], None] = lambda _: None,
) -> Iterator[Sshd]:
    """A server with host keys of these kinds, for the length of a block; `prepare` is shown its first host key."""
    program = _required()
    folder.mkdir()
    for kind in kinds:
        keygen(folder / f"host_{kind}", kind)
    prepare(folder / f"host_{next(iter(kinds))}")
    keys = [f"HostKey {folder}/host_{kind}" for kind in kinds]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "authorized_keys").touch()
    # The first value of an option counts.
    (folder / "config").write_text("\n".join([*options, *keys, CONFIG.format(port=port, folder=folder)]))
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([program, "-D", "-e", "-f", str(folder / "config")], stderr=log)
    made = Sshd(folder, port, folder / "log")
    try:
        _await(made, server)
        yield made
    finally:
        server.terminate()
        server.wait()


def keygen(path: Path, kind: str = "ed25519", *more: str, passphrase: str = "") -> Path:
    """A new key of some kind, by ssh-keygen."""
    size = ("-b", "2048") if kind == "rsa" else ()
    command = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", path.name, "-f", str(path)]
    subprocess.run([*command, *size, *more], check=True, stdin=subprocess.DEVNULL)
    return path


def public(key: Path) -> str:
    """The line of a key's public half."""
    return Path(f"{key}.pub").read_text()


def sign(authority: Path, key: Path, *options: str) -> None:
    """Have an authority sign a public key, which puts a certificate beside it."""
    command = ["ssh-keygen", "-q", "-s", str(authority), "-I", "test", *options, f"{key}.pub"]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)


@contextmanager
def agent(*keys: Path) -> Iterator[Path]:
    """A real ssh-agent that holds these keys; yields its socket."""
    path = keys[0].parent / "agent.sock"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.PIPE) as running:
        assert running.stdout and running.stdout.readline(), "it says where it listens once it does"
        try:
            environment = {**os.environ, "SSH_AUTH_SOCK": str(path)}
            subprocess.run(["ssh-add", "-q", *map(str, keys)], check=True, env=environment, capture_output=True)
            yield path
        finally:
            running.terminate()


def enters(host: Host) -> None:
    """A login works."""
    with Connection(host):
        pass


def refusal(host: Host) -> UnreachableError:
    """The error with which a connection ends."""
    with pytest.raises(UnreachableError) as caught, Connection(host):
        pass
    return caught.value


def _required() -> str:
    if not SSHD:
        if os.environ.get("CARBOY_REQUIRE_HOSTS") == "1":
            pytest.fail("OpenSSH's sshd is not installed (openssh-server)", pytrace=False)
        pytest.skip("OpenSSH's sshd is not installed (openssh-server)")
    if getpass.getuser() == "root":
        # What a package's init script makes; without it sshd refuses to start as root.
        Path("/run/sshd").mkdir(exist_ok=True)
    return SSHD


def _await(made: Sshd, server: subprocess.Popen[bytes]) -> None:
    while READY not in made.log.read_text():
        if server.poll() is not None:
            pytest.fail(made.log.read_text(), pytrace=False)
        try:
            server.wait(0.01)
        except subprocess.TimeoutExpired:
            continue
