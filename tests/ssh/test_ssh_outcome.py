"""How a run ends when it does not end well: noise, silence, cuts; what is not known is never claimed."""

from __future__ import annotations

import fcntl
import io
import json
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carboy import remote
from carboy.applier.file import File
from carboy.applier.stream import MARKER
from carboy.catalog import Content
from carboy.console import Console
from carboy.declaration import Declaration
from carboy.errors import CarboyError, OutcomeUnknownError, UnreachableError
from carboy.fleet.job import Job
from carboy.fleet.run import Run
from carboy.inventory import Host
from carboy.remote import Event, _events, conduct
from tests.ssh.conftest import Deploy, MakeHost, pin
from tests.support.ssh_server import SshServer
from tests.support.trees import OWNED

END = b'{"event": "end", "exit": 0}\n'


@pytest.fixture
def fake(make_host: MakeHost, server: SshServer, tmp_path: Path) -> Any:
    """A host on which a script of the test stands in for Python."""

    def make(script: str) -> Host:
        program = tmp_path / "fake"
        program.write_text("#!/bin/sh\n" + script)
        program.chmod(0o755)
        host = make_host(ansible_python_interpreter=str(program))
        pin(host, server.key)
        return host

    return make


def run(host: Host) -> tuple[list[Event], CarboyError | None]:
    """The events of a run, and the error that it ended with."""
    events: list[Event] = []
    try:
        conduct(host, lambda: b"", lambda _: b"", events.append)
    except CarboyError as error:
        return events, error
    return events, None


NOISE = {
    "a greeting": b"Welcome!\n",
    "a line without end": b"Welcome!",
    "binary": b"\xff\xfe\0 binary\r\n" * 100,
    "an event": b'{"event": "end", "exit": 0}\n',
}


@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE)
def test_noise_before_the_events_is_ignored(deploy: Deploy, server: SshServer, noise: bytes) -> None:
    """Whatever a login shell prints first, the run goes well and none of it shows among the events."""
    server.noise = noise
    target = deploy.root.parent / "file"
    assert deploy(File(str(target), Content.of("text"), **OWNED)) == 0
    assert target.read_text() == "text"
    assert [event["event"] for event in deploy.events] == ["begin", "resource", "end"]


def test_noise_is_shown_where_nothing_began(server: SshServer, fake: Any) -> None:
    """If no applier answers, the last words of the host and of its shell are part of the error."""
    server.noise = b"This account is not available.\n"
    events, error = run(fake("echo 'cannot fork' >&2; exit 3"))
    assert isinstance(error, UnreachableError)
    assert "exit 3" in error.what
    assert "This account is not available." in error.what and "cannot fork" in error.what
    assert (events, error.exit_code) == ([], 4)


def test_an_end_without_an_outcome(fake: Any) -> None:
    """If the host stops before it said how the run ended, nobody claims that it failed or went well."""
    events, error = run(fake(f'echo {MARKER}; echo \'{{"event": "progress", "text": "on it"}}\''))
    assert isinstance(error, OutcomeUnknownError)
    assert "outcome unknown" in error.what and error.hint
    assert [event["text"] for event in events] == ["on it"]


def test_half_an_event_is_no_event(fake: Any) -> None:
    """A line that was cut off is dropped; the outcome is unknown."""
    events, error = run(fake(f'echo {MARKER}; printf \'{{"event": "end", "ex\''))
    assert isinstance(error, OutcomeUnknownError)
    assert events == []


def test_the_exit_code_is_the_hosts(fake: Any) -> None:
    """The code of the event `end` counts, not that of the process."""
    host = fake(f'echo {MARKER}; echo \'{{"event": "end", "exit": 5}}\'; exit 99')
    assert conduct(host, lambda: b"", lambda _: b"", lambda _: None) == 5


@pytest.mark.parametrize(("ended", "code"), [(0, 2), (1, 1), (5, 5)])
def test_drift_never_hides_a_failure(fake: Any, ended: int, code: int) -> None:
    """A plan that shows changes exits with 2, but if it failed after the first, with the failure's code."""
    changed = '{"event": "resource", "resource": "x", "role": "r", "status": "changed"}'
    host = fake(f'echo {MARKER}; echo \'{changed}\'; echo \'{{"event": "end", "exit": {ended}}}\'')
    declared = Declaration(host, (), {"app": SimpleNamespace(name="probe", runtime="systemd")})
    run = Run(Console(machine=True))
    run.each([Job(declared, "apply", {"check": True, "diff": False, "catalog": []})])
    assert run.code == code


def test_a_cut_connection_delivers_what_came_before(deploy: Deploy, server: SshServer, tmp_path: Path) -> None:
    """The session dies in mid-run: events so far arrived, the outcome is unknown, and the host finishes alone."""
    first, second = (File(str(tmp_path / name), Content.of(name), **OWNED) for name in ("first", "second"))
    gate = tmp_path / "gate"
    waiting = File(
        str(tmp_path / "waiting"), Content.of("x"), **OWNED, check=f"sh -c 'until [ -e {gate} ]; do :; done'"
    )

    def cut(event: Event) -> None:
        if event["event"] == "resource":
            server.end_sessions()

    with pytest.raises(OutcomeUnknownError):
        deploy(first, waiting, second, sink=cut)
    assert list(deploy.statuses) == [first.title()]
    gate.touch()
    with (deploy.root / "run/carboy/probe.lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
    assert (tmp_path / "second").read_text() == "second"
    record = deploy.root / "var/lib/carboy/runs/r1-probe.ndjson"
    assert json.loads(record.read_text().splitlines()[-1])["exit"] == 0


@pytest.mark.parametrize("moment", ["channel", "exec"])
def test_a_cut_before_anything_began(deploy: Deploy, server: SshServer, tmp_path: Path, moment: str) -> None:
    """The connection drops as the channel opens or the command starts: exit code 4, and nothing is changed."""
    server.cut_at = moment
    with pytest.raises(UnreachableError, match="before anything began") as caught:
        deploy(File(str(tmp_path / "file"), Content.of("x"), **OWNED))
    assert caught.value.exit_code == 4
    assert not (tmp_path / "file").exists()


def test_a_cut_before_all_bytes_arrived_changes_nothing(deploy: Deploy, server: SshServer, tmp_path: Path) -> None:
    """If the controller is lost while the host still needs bytes, no resource was touched."""
    files = [File(str(tmp_path / name), Content.of(name * 100_000), **OWNED) for name in ("one", "two")]

    def lost(_: object) -> bytes:
        server.cut()
        return b""

    deploy.answer = lost
    with pytest.raises(OutcomeUnknownError):
        deploy(*files)
    for process in server.processes:
        process.wait(timeout=20)
    assert not [path for path in tmp_path.iterdir() if path.name in ("one", "two")]


def test_bytes_that_cannot_be_had_change_nothing(deploy: Deploy, tmp_path: Path) -> None:
    """If the controller cannot resolve what the host lacks, its own error is the outcome and the host is as it was."""

    def refuse(_: object) -> bytes:
        raise CarboyError("the requirements do not resolve")

    deploy.answer = refuse
    with pytest.raises(CarboyError, match="do not resolve"):
        deploy(File(str(tmp_path / "file"), Content.of("x"), **OWNED))
    assert not (tmp_path / "file").exists()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=st.binary(max_size=60), after=st.lists(st.binary(max_size=30), max_size=5), ended=st.booleans())
def test_any_bytes_around_the_marker(before: bytes, after: list[bytes], ended: bool) -> None:
    """Random bytes before the marker and between the events never raise, and never become an event."""
    lines = io.BytesIO(before + b"\n" + MARKER.encode() + b"\n" + b"\n".join(after) + b"\n" + END * ended)
    for event in _events(Host("h", {}, {}), cast(Any, None), cast(Any, lines)):
        assert isinstance(event, dict) and "event" in event


@pytest.mark.parametrize("line", [b"5", b"[]", b"null", b'"text"', b"{}", b"[" * 100_000])
def test_json_that_is_no_event_is_passed_over(line: bytes) -> None:
    """A line that some program of the host slipped in is not taken for an event, even if it is JSON."""
    lines = io.BytesIO(MARKER.encode() + b"\n" + line + b"\n" + END)
    assert list(_events(Host("h", {}, {}), cast(Any, None), cast(Any, lines))) in ([], [json.loads(END)])


def test_a_host_hears_of_a_controller_that_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """While an answer is looked for an empty line goes out every few seconds, and none once it is found."""
    monkeypatch.setattr(remote, "BUSY_SECONDS", 0.01)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with remote._busy(ours):  # type: ignore[arg-type]
            assert theirs.recv(2) and theirs.recv(2)
        ours.sendall(b"1\n")
        ours.shutdown(socket.SHUT_WR)
        assert theirs.makefile("rb").read().lstrip(b"\n") == b"1\n"
