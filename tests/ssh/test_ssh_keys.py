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
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from select import select

import pytest

from carboy.inventory import Host
from tests.support.sshd import Sshd, agent, enters, keygen, refusal, sign, sshd

ROOT = Path(__file__).parents[2]
ME = getpass.getuser()
SECRET = "correct horse"
CTRL_C, CTRL_D = "\x03", "\x04"
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

INTERRUPTED = """
import json, sys, threading
from carboy.inventory import Host
from carboy.ssh.connection import Connection

def enter():
    with Connection(Host("h", json.loads(sys.argv[1]), {})):
        pass

threading.Thread(target=enter, daemon=True).start()
try:
    threading.Event().wait()
except KeyboardInterrupt:
    sys.exit(130)
"""
ASIDE = """
import threading, time
from carboy.console import Console
from carboy.ssh import prompt

asked = threading.Event()
with Console() as console:
    prompt.aside = console.aside
    console.waiting("h", "connecting")
    worker = threading.Thread(target=lambda: prompt.ask("passphrase: "))
    worker.start()
    while worker.is_alive():
        console.waiting("h", "still connecting")
        time.sleep(0.01)
    time.sleep(0.5)
print("the end")
"""
FORKED = """
import json, os, sys
from carboy.errors import CarboyError
from carboy.inventory import Host
from carboy.ssh.connection import Connection
from carboy.ssh.keys import unseal

hosts = [Host(f"h{number}", json.loads(sys.argv[1]), {}) for number in range(2)]
unseal(hosts)
for host in hosts:
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        continue
    try:
        with Connection(host):
            print("in", flush=True)
    except CarboyError as error:
        print(error, flush=True)
    os._exit(0)
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


def test_a_wrong_passphrase_for_one_host(box: Callable[..., Host], server: Sshd, tmp_path: Path) -> None:
    """What the inventory says wrongly of one host does not keep another from the same key."""
    key = keygen(tmp_path / "id", passphrase=SECRET)
    server.let_in(key)
    known = {"ansible_private_key_file": str(key)}
    assert "does not open it" in refusal(box(**known, ansible_private_key_passphrase="wrong")).what
    enters(box(**known, ansible_private_key_passphrase=SECRET))
    assert "does not open it" in refusal(box(**known, ansible_private_key_passphrase="wrong")).what


def test_no_answer(box: Callable[..., Host], server: Sshd, tmp_path: Path) -> None:
    """The end of the input at the question is told as that, and not as the connection's."""
    key = keygen(tmp_path / "id", passphrase=SECRET)
    server.let_in(key)
    command = _command(box(ansible_ssh_private_key_file=str(key)), 2)
    said = _typed(command, f"passphrase of {key}: ", [CTRL_D])
    assert said.count("no passphrase was given") == 2 and "EOFError" not in said


def test_a_person_takes_time(box: Callable[..., Host], server: Sshd, tmp_path: Path) -> None:
    """Who types longer than a host may be silent is let in: that silence is not the host's."""
    key = keygen(tmp_path / "id", passphrase=SECRET)
    server.let_in(key)
    command = _command(box(ansible_ssh_private_key_file=str(key), ansible_timeout=1), 1)
    assert _typed(command, f"passphrase of {key}: ", [SECRET], after=3).split()[-1:] == ["in"]


def test_an_agent_takes_time(
    box: Callable[..., Host], server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it is with an agent that asks a person before it signs."""
    key, helper = keygen(tmp_path / "id"), tmp_path / "helper"
    server.let_in(key)
    helper.write_text("#!/bin/sh\nsleep 3\n")
    helper.chmod(0o755)
    for name, value in {"SSH_ASKPASS": str(helper), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}.items():
        monkeypatch.setenv(name, value)
    with agent(key) as path:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        subprocess.run(["ssh-add", "-q", "-c", str(key)], check=True, capture_output=True)
        key.unlink()
        enters(box(ansible_timeout=1))


def test_an_interrupt_at_the_question(box: Callable[..., Host], server: Sshd, tmp_path: Path) -> None:
    """Ctrl-C while a passphrase is asked for ends the program, and what is typed after it can be seen again."""
    key = keygen(tmp_path / "id", passphrase=SECRET)
    server.let_in(key)
    made = box(ansible_ssh_private_key_file=str(key))
    with _Terminal([sys.executable, "-c", INTERRUPTED, json.dumps(dict(made.variables))]) as terminal:
        terminal.read_to(f"passphrase of {key}: ")
        assert not terminal.echoes
        terminal.type(CTRL_C)
        assert terminal.process.wait() == 130
        assert terminal.echoes


def test_nothing_is_drawn_over_the_question() -> None:
    """While a worker asks, the live region is gone and nothing else is said; then all goes on."""
    with _Terminal([sys.executable, "-c", ASIDE]) as terminal:
        assert "connecting" in terminal.read_to("passphrase: ")
        # The region is drawn four times a second.
        assert not select([terminal.ours], [], [], 0.7)[0]
        terminal.type("secret\n")
        assert "still connecting" in terminal.read_to("the end")


def test_keys_are_opened_before_forks(box: Callable[..., Host], server: Sshd, home: Path) -> None:
    """One question serves processes forked later, of which none asks; and none is asked where another key lets in."""
    sealed, plain = keygen(home / ".ssh/id_ed25519", passphrase=SECRET), keygen(home / ".ssh/id_rsa", "rsa")
    server.let_in(sealed)
    command = [sys.executable, "-c", FORKED, json.dumps(dict(box().variables))]
    said = _typed(command, f"passphrase of {sealed}: ", [SECRET])
    assert said.count("passphrase of") == 1 and said.split()[-2:] == ["in", "in"]
    server.let_in(plain)
    assert _typed(command, "passphrase of", []).split() == ["in", "in"]


def test_a_fork_does_not_ask(box: Callable[..., Host], tmp_path: Path) -> None:
    """A person at one terminal cannot answer many processes: a key that nobody has opened stays closed in them."""
    key = keygen(tmp_path / "id", passphrase=SECRET)
    made = box(ansible_ssh_private_key_file=str(key))
    said = _typed([sys.executable, "-c", FORKED, json.dumps(dict(made.variables))], f"passphrase of {key}: ", [""])
    assert said.count("passphrase of") == 1 and said.count("it has a passphrase") + said.count("not known") == 2


def _command(host: Host, count: int) -> list[str]:
    return [sys.executable, "-c", LOG_IN, json.dumps(dict(host.variables)), str(count)]


def _typed(command: list[str], prompt: str, answers: list[str], after: float = 0) -> str:
    """Run a command at a terminal, answer each prompt after some seconds, and return all that stood there."""
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
                time.sleep(after)
                os.write(ours, f"{answers.pop(0)}\n".encode())
    os.close(ours)
    return said


class _Terminal:
    """A terminal at which a command runs."""

    def __init__(self, command: list[str]) -> None:
        self.ours, self._theirs = pty.openpty()
        ends = {"stdin": self._theirs, "stdout": self._theirs, "stderr": self._theirs}
        environment = {**os.environ, "TERM": "xterm"}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, preexec_fn=self._sit_down, **ends)  # type: ignore[call-overload]

    def __enter__(self) -> _Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.ours)
        os.close(self._theirs)

    def _sit_down(self) -> None:
        os.setsid()
        fcntl.ioctl(self._theirs, termios.TIOCSCTTY, 0)

    @property
    def echoes(self) -> bool:
        """Whether what is typed can be seen."""
        return bool(termios.tcgetattr(self._theirs)[3] & termios.ECHO)

    def type(self, text: str) -> None:
        """What a person types."""
        os.write(self.ours, text.encode())

    def read_to(self, end: str) -> str:
        """What stands there, as soon as it ends so."""
        said = ""
        while not said.rstrip("\r\n").endswith(end.rstrip("\r\n")):
            assert select([self.ours], [], [], 20)[0], said
            said += _read(self.ours)
        return said


def _read(terminal: int) -> str:
    try:
        return os.read(terminal, 4096).decode()
    except OSError:
        return ""
