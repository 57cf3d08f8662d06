"""Logging in to a real sshd: files and a real agent, certificates, passphrases and the terminal they are typed at."""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import pty
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from carboy.errors import UnreachableError
from carboy.inventory import Host
from carboy.ssh.connection import Connection
from tests.support.sshd import Sshd, agent, keygen, sign, sshd

ROOT = Path(__file__).parents[2]
ME = getpass.getuser()
SECRET = "correct horse"
LOG_IN = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from carboy.errors import CarboyError
from carboy.inventory import Host
from carboy.ssh.connection import Connection

def enter(number):
    try:
        with Connection(Host(f"h{number}", json.loads(sys.argv[1]), {})):
            return "in"
    except CarboyError as error:
        return str(error)

with ThreadPoolExecutor(8) as crew:
    print(*crew.map(enter, range(int(sys.argv[2]))), sep="\\n")
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A server that trusts an authority for users, too."""
    folder = tmp_path_factory.mktemp("server")
    authority = keygen(folder / "authority")
    with sshd(folder / "host", f"TrustedUserCAKeys {authority}.pub") as made:
        yield made


@pytest.fixture
def box(home: Path, server: Sshd) -> Callable[..., Host]:
    """The server as a host of an inventory, with more variables."""
    (home / ".ssh/known_hosts").write_text(server.line())
    server.let_in()

    def box(**more: object) -> Host:
        known = {"ansible_host": "127.0.0.1", "ansible_port": server.port, "ansible_user": ME}
        return Host("box", {**known, "ansible_become": False, **more}, {})

    return box


def enters(host: Host) -> None:
    """A login works."""
    with Connection(host):
        pass


def refusal(host: Host) -> UnreachableError:
    """The error with which a login ends."""
    with pytest.raises(UnreachableError) as caught, Connection(host):
        pass
    return caught.value


FORMS = [("ed25519", ()), ("ecdsa", ()), ("rsa", ()), ("rsa", ("-m", "PEM")), ("ecdsa", ("-m", "PKCS8"))]


@pytest.mark.parametrize(("kind", "form"), FORMS)
def test_types_and_formats(
    box: Callable[..., Host], server: Sshd, tmp_path: Path, kind: str, form: tuple[str, ...]
) -> None:
    """Each type of key lets in, in OpenSSH's own format and in the older ones, with and without a passphrase."""
    key, sealed = keygen(tmp_path / "id", kind, *form), keygen(tmp_path / "sealed", kind, *form, passphrase=SECRET)
    server.let_in(key, sealed)
    enters(box(ansible_ssh_private_key_file=str(key)))
    enters(box(ansible_ssh_private_key_file=str(sealed), ansible_ssh_private_key_passphrase=SECRET))


def test_a_wrong_passphrase_in_the_inventory(box: Callable[..., Host], server: Sshd, tmp_path: Path) -> None:
    """It is said, and not shown; nobody is asked for another one."""
    key = keygen(tmp_path / "id", passphrase=SECRET)
    server.let_in(key)
    error = refusal(box(ansible_private_key_file=str(key), ansible_private_key_passphrase="wrong horse"))
    assert "does not open it" in error.what and str(key) in error.what and "horse" not in str(error)


def test_keys_of_the_home(box: Callable[..., Host], server: Sshd, home: Path) -> None:
    """Without any word in inventory or configuration, the usual files in ~/.ssh are tried."""
    keygen(home / ".ssh/id_rsa", "rsa")
    server.let_in(keygen(home / ".ssh/id_ed25519"))
    enters(box())


def test_an_agent(box: Callable[..., Host], server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that only the agent can open lets in."""
    key = keygen(tmp_path / "id")
    server.let_in(key)
    with agent(key) as path:
        key.unlink()
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        enters(box())


def test_identities_only(
    box: Callable[..., Host], server: Sshd, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an agent's many keys only the named one is tried, found by its public half; else sshd hangs up on too many."""
    keys = [keygen(tmp_path / f"id{number}") for number in range(8)]
    server.let_in(keys[7])
    with agent(*keys) as path:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        for key in keys:
            key.unlink()
        error = refusal(box())
        assert "hung up after 6 keys" in error.what and "ansible_ssh_private_key_file" in error.hint
        (home / ".ssh/config").write_text(f"IdentitiesOnly yes\nIdentityFile {keys[7]}.pub\n")
        enters(box())
        (home / ".ssh/config").write_text(f"IdentitiesOnly yes\nIdentityFile {keys[0]}.pub\n")
        assert refusal(box()).what == f"the host refused {ME}'s key", "no other one is tried"


def test_an_identity_agent(box: Callable[..., Host], server: Sshd, tmp_path: Path, home: Path) -> None:
    """IdentityAgent names the agent's socket, or says that there is none."""
    key = keygen(tmp_path / "id")
    server.let_in(key)
    with agent(key) as path:
        key.unlink()
        (home / ".ssh/config").write_text(f"IdentityAgent {path}\n")
        enters(box())
        (home / ".ssh/config").write_text("IdentityAgent none\n")
        assert "there is no key to log in with" in refusal(box()).what


def test_an_agent_opens_what_the_inventory_names(
    box: Callable[..., Host], server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key with a passphrase that the agent holds is the agent's to use: nobody is asked."""
    key = keygen(tmp_path / "id")
    server.let_in(key)
    with agent(key) as path:
        subprocess.run(["ssh-keygen", "-q", "-p", "-N", SECRET, "-f", str(key)], check=True, capture_output=True)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        enters(box(ansible_ssh_private_key_file=str(key)))


@pytest.mark.parametrize("by", ["file", "agent"])
@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_a_certificate(
    box: Callable[..., Host], server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str, kind: str
) -> None:
    """The certificate beside a key lets in where the key alone would not, whether a file or an agent signs."""
    key = keygen(tmp_path / "id", kind)
    assert "refused" in refusal(box(ansible_ssh_private_key_file=str(key))).what
    sign(server.folder.parent / "authority", key, "-n", ME)
    if by == "file":
        enters(box(ansible_ssh_private_key_file=str(key)))
        return
    with agent(key) as path:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        key.unlink()
        enters(box())


def test_what_was_tried(box: Callable[..., Host], home: Path) -> None:
    """Where no key lets in, each that was tried is named, and a command to look with."""
    for kind in ("rsa", "ed25519"):
        keygen(home / f".ssh/id_{kind}", kind)
    error = refusal(box())
    assert error.what == f"the host refused {ME}'s 2 keys"
    assert "id_rsa" in error.hint and "id_ed25519" in error.hint and "ssh -v" in error.hint


def test_a_passphrase_without_a_terminal(box: Callable[..., Host], server: Sshd, tmp_path: Path) -> None:
    """Nobody can be asked: the error names the key, and the agent that would help."""
    key = keygen(tmp_path / "id", passphrase=SECRET)
    server.let_in(key)
    made = box(ansible_ssh_private_key_file=str(key))
    done = subprocess.run(_command(made, 1), cwd=ROOT, capture_output=True, text=True, start_new_session=True)
    assert f"the key {key}: it has a passphrase, and there is no terminal" in done.stdout
    assert f"ssh-add {key}" in done.stdout and done.stderr == ""


def test_a_passphrase_is_asked_for_once(box: Callable[..., Host], server: Sshd, tmp_path: Path) -> None:
    """Eight hosts at once want a key: it is asked for once, a second time after a typing mistake, and never shown."""
    key = keygen(tmp_path / "id", passphrase=SECRET)
    server.let_in(key)
    said = _typed(_command(box(ansible_ssh_private_key_file=str(key)), 8), f"passphrase of {key}: ", ["oops", SECRET])
    assert said.count("passphrase of") == 2
    assert said.split()[-8:] == ["in"] * 8
    assert SECRET not in said and "oops" not in said


def test_a_passphrase_that_nobody_knows(box: Callable[..., Host], server: Sshd, tmp_path: Path) -> None:
    """An empty answer leaves the key out for all hosts of the run."""
    key = keygen(tmp_path / "id", passphrase=SECRET)
    server.let_in(key)
    said = _typed(_command(box(ansible_ssh_private_key_file=str(key)), 4), f"passphrase of {key}: ", [""])
    assert said.count("passphrase of") == 1
    assert said.count("its passphrase is not known") == 4


def _command(host: Host, count: int) -> list[str]:
    return [sys.executable, "-c", LOG_IN, json.dumps(dict(host.variables)), str(count)]


def _typed(command: list[str], prompt: str, answers: list[str]) -> str:
    """Run a command at a terminal, answer each prompt, and return all that stood there."""
    ours, theirs = pty.openpty()

    def sit_down() -> None:
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    with subprocess.Popen(command, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=sit_down):
        os.close(theirs)
        said = ""
        while piece := _read(ours):
            said += piece
            if said.endswith(prompt) and answers:
                os.write(ours, f"{answers.pop(0)}\n".encode())
    os.close(ours)
    return said


def _read(terminal: int) -> str:
    try:
        return os.read(terminal, 4096).decode()
    except OSError:
        return ""
