"""Hosts that freeze: whose kernel acknowledges every byte, and of which nothing else is ever heard."""

from __future__ import annotations

import time
from pathlib import Path

import paramiko
import pytest

from carboy.applier.file import File
from carboy.catalog import Content
from carboy.errors import OutcomeUnknownError, UnreachableError
from carboy.ssh import pulse
from carboy.ssh.connection import Connection
from tests.ssh.conftest import Deploy, MakeHost, pin
from tests.support.ssh_server import SshServer
from tests.support.trees import OWNED

SECONDS = 30
"""No dead peer may hold anybody up for longer."""


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second passes in a twentieth of it."""
    monkeypatch.setattr(pulse, "TICK", 0.05)


def test_the_limit() -> None:
    """With a second until the first look and one for the end, a frozen host is noticed in time; few are asked."""
    assert pulse.TICK * (pulse.GIVE_UP_TICKS + 2) < SECONDS
    assert pulse.TICK * pulse.ASK_AFTER_TICKS >= 5


@pytest.mark.usefixtures("hasty")
def test_a_host_that_freezes_at_the_login(
    make_host: MakeHost, server: SshServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many keys there are to try, the wait ends after ansible_timeout, and none is said to be refused."""
    monkeypatch.setattr(pulse, "GIVE_UP_TICKS", 10_000)
    host = make_host(ansible_timeout=1, ansible_ssh_private_key_file=None)
    paramiko.ECDSAKey.generate().write_private_key_file(str(home / ".ssh/id_ecdsa"))
    paramiko.RSAKey.generate(2048).write_private_key_file(str(home / ".ssh/id_rsa"))
    pin(host, server.key)
    server.frozen_at = "login"
    began = time.monotonic()
    with pytest.raises(UnreachableError, match="no answer within 1 s"), Connection(host):
        pass
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("moment", ["channel", "exec"])
@pytest.mark.usefixtures("hasty")
def test_a_host_that_freezes_before_anything_began(
    deploy: Deploy, server: SshServer, tmp_path: Path, moment: str
) -> None:
    """Instead of opening the channel or starting the command it says nothing: exit code 4, and nothing is changed."""
    server.frozen_at = moment
    with pytest.raises(UnreachableError, match="before anything began") as caught:
        deploy(File(str(tmp_path / "file"), Content.of("x"), **OWNED))
    assert caught.value.exit_code == 4
    assert not (tmp_path / "file").exists()


@pytest.mark.usefixtures("hasty")
def test_a_host_that_freezes_in_the_middle(deploy: Deploy, server: SshServer, tmp_path: Path) -> None:
    """It answers no question any more: the outcome is unknown, and the host finishes when it can."""
    server.frozen_at = "question"
    gate = tmp_path / "gate"
    with pytest.raises(OutcomeUnknownError):
        deploy(_waiting(tmp_path, gate))
    assert deploy.statuses == {}
    gate.touch()
    for process in server.processes:
        process.wait(timeout=20)
    assert (tmp_path / "waiting").exists()


@pytest.mark.usefixtures("hasty")
def test_a_host_that_freezes_while_bytes_are_sent(deploy: Deploy, server: SshServer, tmp_path: Path) -> None:
    """Sending ends too when nobody reads; the host had not all it needs, and changes nothing."""

    def freeze(_: object) -> bytes:
        server.frozen_at = "bytes"
        return b"x" * 50_000_000

    deploy.answer = freeze
    with pytest.raises(OutcomeUnknownError):
        deploy(File(str(tmp_path / "file"), Content.of("x" * 100_000), **OWNED))
    assert not (tmp_path / "file").exists()


@pytest.mark.usefixtures("hasty")
def test_a_host_that_is_only_silent(
    deploy: Deploy, server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command may take longer than any limit: as long as the host answers when it is asked, it is waited for."""
    gate = tmp_path / "gate"
    enough = pulse.GIVE_UP_TICKS // pulse.ASK_AFTER_TICKS + 3
    monkeypatch.setattr(server, "asked", lambda number: gate.touch() if number == enough else None)
    assert deploy(_waiting(tmp_path, gate)) == 0
    assert server.counts.questions >= enough


def test_a_short_run_asks_nothing(deploy: Deploy, server: SshServer, tmp_path: Path) -> None:
    """Questions cost a run nothing that is over before the first."""
    assert deploy(File(str(tmp_path / "file"), Content.of("x"), **OWNED)) == 0
    assert server.counts.questions == 0


def _waiting(folder: Path, gate: Path) -> File:
    """A file whose repair takes until there is a gate."""
    check = f"sh -c 'until [ -e {gate} ]; do sleep 0.05; done'"
    return File(str(folder / "waiting"), Content.of("x"), **OWNED, check=check)
