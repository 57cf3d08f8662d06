"""Becoming root, and hosts without Python: with programs of the test's own in the place of sudo, id and apt-get."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from carboy.applier.file import File
from carboy.catalog import Content
from carboy.errors import FailedError, UnreachableError
from carboy.inventory import Host
from carboy.ssh.connection import Connection
from tests.ssh.conftest import Deploy, MakeHost, pin
from tests.support.ssh_server import SshServer
from tests.support.trees import OWNED

PASSWORD = "correct horse $HOME 'battery' \"staple\""
Put = Callable[[str, str], Path]
SUDO = """\
echo "sudo $1 $*" >>$0.log
env >>$0.log
case "$1" in
-n) [ -e ${0%/*}/free ] || exit 1; shift;;
-S) IFS= read -r given; [ "$given" = "$(cat ${0%/*}/password)" ] || exit 1; shift 4;;
esac
exec "$@"
"""
APT = f"""\
echo "$@" >>$0.log
case "$*" in *install*) [ -e ${{0%/*}}/refuse ] && {{ echo 'E: no such package' >&2; exit 100; }}
ln -s {sys.executable} ${{0%/*}}/python3;; esac
"""


@pytest.fixture
def put(server: SshServer) -> Put:
    """Puts a script into the first folder of the server's PATH, which it returns."""
    folder = Path(server.environment["PATH"].partition(":")[0])

    def put(name: str, script: str) -> Path:
        (folder / name).write_text(f"#!/bin/sh\n{script}")
        (folder / name).chmod(0o755)
        return folder

    return put


@pytest.fixture
def sudo(put: Put) -> Path:
    """A server where nobody is root and sudo wants the password; returns the folder of its programs."""
    put("id", "echo 1000\n")
    folder = put("sudo", SUDO)
    (folder / "password").write_text(PASSWORD)
    return folder


@pytest.fixture
def become(make_host: MakeHost, server: SshServer) -> Callable[..., Host]:
    """The host with `ansible_become`, and more variables."""

    def become(**more: object) -> Host:
        host = make_host(ansible_become=True, **more)
        pin(host, server.key)
        return host

    return become


def deployed(host: Host, folder: Path) -> int:
    """The exit code of a small deploy."""
    return Deploy(host, folder / "host")(File(str(folder / "file"), Content.of("x"), **OWNED))


def test_sudo_without_a_password(become: Callable[..., Host], sudo: Path, server: SshServer, tmp_path: Path) -> None:
    """Where sudo asks for nothing it is called once, with -n, and the run costs one exec."""
    (sudo / "free").touch()
    assert deployed(become(), tmp_path) == 0
    assert _calls(sudo) == ["-n"]
    assert server.counts.calls == (1, 1, 1)


@pytest.mark.usefixtures("sudo")
def test_sudo_that_wants_a_password_nobody_gave(become: Callable[..., Host], tmp_path: Path) -> None:
    """No password in the inventory: exit code 4, and both ways out are named."""
    with pytest.raises(UnreachableError, match="sudo wants a password") as caught:
        deployed(become(), tmp_path)
    assert caught.value.exit_code == 4
    assert "ansible_become_password" in caught.value.hint and "NOPASSWD" in caught.value.hint


def test_a_password_goes_through_stdin_alone(
    become: Callable[..., Host], sudo: Path, server: SshServer, tmp_path: Path
) -> None:
    """The password opens sudo, and is in no command line, no argument and no environment."""
    assert deployed(become(ansible_become_password=PASSWORD), tmp_path) == 0
    assert (tmp_path / "file").read_text() == "x"
    log = (sudo / "sudo.log").read_text()
    assert _calls(sudo) == ["-n", "-S", "-S"]
    assert "PATH=" in log
    for part in ("horse", "battery"):
        assert part not in log
        assert part not in "".join(server.counts.commands)
    assert server.counts.stdin.startswith((PASSWORD.encode() + b"\n") * 2)
    assert server.counts.stdin.count(b"battery") == 2
    assert server.counts.calls == (1, 1, 1)


def test_a_wrong_password(become: Callable[..., Host], sudo: Path, tmp_path: Path) -> None:
    """sudo refuses: exit code 4, the password is not shown, and it was tried once."""
    with pytest.raises(UnreachableError, match="sudo refused the password") as caught:
        deployed(become(ansible_become_password="wrong horse"), tmp_path)
    assert caught.value.exit_code == 4
    assert "horse" not in str(caught.value)
    assert _calls(sudo) == ["-n", "-S"]


def test_a_sudo_that_reads_ahead(become: Callable[..., Host], sudo: Path, tmp_path: Path) -> None:
    """sudo-rs takes from its stdin whatever has arrived: what is the program's comes only after that."""
    (sudo / "sudo").write_text(
        (sudo / "sudo").read_text().replace("IFS= read -r given", "given=$(dd bs=99999 count=1)")
    )
    assert deployed(become(ansible_become_password=PASSWORD), tmp_path) == 0
    assert (tmp_path / "file").read_text() == "x"


def test_a_program_that_fails_after_the_password(become: Callable[..., Host], sudo: Path, tmp_path: Path) -> None:
    """Its exit code is not taken for sudo's refusal."""
    (sudo / "python3").unlink()
    (sudo / "python3").write_text("#!/bin/sh\necho broken >&2; exit 1\n")
    (sudo / "python3").chmod(0o755)
    with pytest.raises(UnreachableError, match=r"did not start \(exit 1\): broken"):
        deployed(become(ansible_become_password=PASSWORD), tmp_path)


@pytest.mark.parametrize("way", ["as root", "sudo asks", "sudo is free", "no become"])
def test_the_program_never_reads_the_password(make_host: MakeHost, server: SshServer, sudo: Path, way: str) -> None:
    """Whichever way leads to root, the program's stdin begins with its own first byte."""
    (sudo / "id").write_text(f"#!/bin/sh\necho {0 if way == 'as root' else 1000}\n")
    if way == "sudo is free":
        (sudo / "free").touch()
    host = make_host(ansible_become=way != "no become", ansible_become_password=PASSWORD)
    pin(host, server.key)
    with Connection(host) as connection:
        channel = connection.start_as_root(["cat"], b"first line\n\x00 second")
        channel.shutdown_write()
        assert channel.makefile("rb").read() == b"first line\n\x00 second"


def test_a_command_that_ends_before_it_read_all(target: Host) -> None:
    """It is no lost connection: the exit code is told, however much there was left to send."""
    with Connection(target) as connection:
        channel = connection.start("exit 78", b"x" * 10_000_000)
        assert channel.recv_exit_status() == 78


def test_a_host_without_python_gets_it(target: Host, server: SshServer, put: Put, tmp_path: Path) -> None:
    """Missing python3 is installed with apt and the run starts again: two more execs, on the same connection."""
    folder = _only_shell_programs(put, server)
    assert deployed(target, tmp_path) == 0
    assert [line.split()[-1] for line in (folder / "apt-get.log").read_text().splitlines()] == ["update", "python3"]
    assert server.counts.calls == (1, 3, 3)


def test_python_that_cannot_be_installed(target: Host, server: SshServer, put: Put, tmp_path: Path) -> None:
    """If apt refuses, its last words are the error, with what to do; nothing is tried twice."""
    folder = _only_shell_programs(put, server)
    (folder / "refuse").touch()
    with pytest.raises(FailedError, match="E: no such package") as caught:
        deployed(target, tmp_path)
    assert "install python3" in caught.value.hint
    assert server.counts.calls == (1, 2, 2)


def test_an_interpreter_that_is_not_there(make_host: MakeHost, server: SshServer, put: Put, tmp_path: Path) -> None:
    """Another interpreter than python3 is not what apt brings: nothing is installed, and the error names it."""
    _only_shell_programs(put, server)
    host = make_host(ansible_python_interpreter="python3.99")
    pin(host, server.key)
    with pytest.raises(UnreachableError, match=r"no python3\.99"):
        deployed(host, tmp_path)
    assert server.counts.calls == (1, 1, 1)


def _calls(sudo: Path) -> list[str]:
    """How sudo was called, by the first argument."""
    lines = (sudo / "sudo.log").read_text().splitlines()
    return [line.split()[1] for line in lines if line.startswith("sudo ")]


def _only_shell_programs(put: Put, server: SshServer) -> Path:
    folder = put("apt-get", APT)
    (folder / "python3").unlink()
    for name in ("sh", "ln"):
        (folder / name).symlink_to(shutil.which(name) or name)
    server.environment["PATH"] = str(folder)
    return folder
