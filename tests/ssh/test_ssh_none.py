"""`ansible_connection: local`: the same exchange with a program on this machine, as the user who calls."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Any

import pytest

from carboy.applier.stream import MARKER
from carboy.errors import DeclarationError, OutcomeUnknownError, UnreachableError
from carboy.inventory import Host
from carboy.remote import conduct
from carboy.transport import way_to

SAY = (
    f'import os, pwd; print(\'{MARKER}\'); print(\'{{"event": "user", "is": "%s"}}\' % pwd.getpwuid(os.geteuid())[0]); '
)
END = 'print(\'{"event": "end", "exit": 5}\')'


def local(**variables: Any) -> Host:
    """This machine."""
    return Host("here", {"ansible_connection": "local", **variables}, {})


def payload(source: str) -> bytes:
    """A program in the form of a payload."""
    import zlib

    packed = zlib.compress(source.encode())
    return b"%d\n%s" % (len(packed), packed)


def test_runs_here() -> None:
    """The payload runs as the calling user, its events arrive, and its exit code counts."""
    events: list[dict[str, Any]] = []
    assert conduct(local(), lambda: payload(SAY + END), lambda _: b"", events.append) == 5
    assert events[0]["is"] == getpass.getuser()


def test_answers_what_is_wanted() -> None:
    """What the program wants is handed over."""
    want = (
        f'import sys; print(\'{MARKER}\'); print(\'{{"event": "want", "needs": [{{"blob": "x"}}]}}\', flush=True); '
        "n = int(sys.stdin.buffer.readline()); d = sys.stdin.buffer.read(n).decode(); "
        'print(\'{"event": "got", "is": "%s"}\' % d); print(\'{"event": "end", "exit": 0}\')'
    )
    events: list[dict[str, Any]] = []
    conduct(local(), lambda: payload(want), lambda need: str(need["blob"]).encode() * 3, events.append)
    assert events[0]["is"] == "xxx"


def test_the_end_is_unknown() -> None:
    """A program that dies without saying how it ended leaves the outcome unknown."""
    with pytest.raises(OutcomeUnknownError):
        conduct(local(), lambda: payload(SAY), lambda _: b"", lambda _: None)


def test_no_such_python(tmp_path: Path) -> None:
    """An interpreter that is not there is named, with the variable to correct."""
    host = local(ansible_python_interpreter=str(tmp_path / "python"))
    with pytest.raises(UnreachableError) as caught:
        conduct(host, lambda: b"", lambda _: b"", lambda _: None)
    assert "python cannot be started: No such file" in caught.value.what
    assert "ansible_python_interpreter" in caught.value.hint


def test_a_session_of_its_own() -> None:
    """Ctrl-C at the terminal reaches the controller alone."""
    with way_to(local()) as way:
        channel = way.start_as_root([sys.executable, "-c", "import os; print(os.getsid(0) == os.getpid())"])
        assert channel.makefile("rb").read() == b"True\n"
        assert channel.recv_exit_status() == 0


def test_never_root() -> None:
    """To become root on this machine is refused."""
    assert local().become is False and local().python == sys.executable
    with pytest.raises(DeclarationError, match="ansible_become"):
        local(ansible_become=True).check()


def test_a_program_that_dies_before_it_reads() -> None:
    """An interpreter that ends at once is an error that says so, however much was still to be sent."""
    with pytest.raises(UnreachableError, match="did not start"):
        conduct(local(ansible_python_interpreter="/bin/false"), lambda: b"x" * 1_000_000, lambda _: b"", print)
