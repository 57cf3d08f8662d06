"""This machine as a host: programs run as the calling user, with no SSH and no root in between."""

from __future__ import annotations

import getpass
import subprocess
from contextlib import suppress
from types import TracebackType
from typing import IO

from carboy.errors import UnreachableError
from carboy.inventory import Host


class Local:
    """The same as an SSH connection, without one; use as a context manager."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.where = f"host {host.name} (this machine)"
        self.user = getpass.getuser()
        self._programs: list[Program] = []

    def __enter__(self) -> Local:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for program in self._programs:
            program.leave()

    def by_hand(self, command: str) -> str:
        """What a person types to run a command there."""
        return command

    def start_as_root(self, program: list[str], stdin: bytes = b"") -> Program:
        """Run a program as the calling user, who is root enough for what is done from here."""
        try:
            self._programs.append(Program(program))
        except OSError as problem:
            what = f"{program[0]} cannot be started: {problem.strerror}"
            hint = "correct ansible_python_interpreter, or remove it"
            raise UnreachableError(what, where=self.where, hint=hint) from problem
        with suppress(BrokenPipeError):
            # One that died at once is asked why when its words are read.
            self._programs[-1].sendall(stdin)
        return self._programs[-1]


class Program:
    """A running program, as a channel."""

    def __init__(self, command: list[str]) -> None:
        pipe = subprocess.PIPE
        # In a session of its own: what is typed at the terminal is for the controller, which then says what to do.
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)

    def sendall(self, data: bytes) -> None:
        """Write all of it to the program's stdin."""
        assert self._process.stdin
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def shutdown_write(self) -> None:
        """End the program's stdin."""
        assert self._process.stdin
        self._process.stdin.close()

    def makefile(self, mode: str) -> IO[bytes]:  # noqa: ARG002 - a channel's form
        """The program's stdout."""
        assert self._process.stdout
        return self._process.stdout

    def makefile_stderr(self, mode: str) -> IO[bytes]:  # noqa: ARG002 - a channel's form
        """The program's stderr."""
        assert self._process.stderr
        return self._process.stderr

    def settimeout(self, seconds: float) -> None:
        """Nothing: no line lies in between that could fall silent."""

    def recv_exit_status(self) -> int:
        """Wait for its end."""
        return self._process.wait()

    def leave(self) -> None:
        """Hear no more of it; one that has detached goes on, as behind a lost connection."""
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert stream
            try:
                stream.close()
            except OSError:
                # What was still to be sent has no reader any more.
                continue
