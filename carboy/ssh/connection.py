"""One SSH connection to one host, and commands on it, as root if need be."""

from __future__ import annotations

import shlex
import sys
from importlib import import_module
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING

from carboy.errors import UnreachableError
from carboy.inventory import Host
from carboy.ssh.endpoint import endpoint
from carboy.ssh.root import READY, as_root
from carboy.ssh.route import Route

if TYPE_CHECKING:
    import paramiko


def warm() -> None:
    """Begin to import paramiko, beside the questions to git, ssh, name servers and the host, which take as long."""
    if "paramiko" not in sys.modules:
        # No daemon: Python cannot end well while a thread is in the middle of loading what is not Python.
        Thread(target=import_module, args=("carboy.ssh.login",)).start()


class Connection:
    """An open SSH connection; use as a context manager."""

    def __init__(self, host: Host) -> None:
        warm()
        self.host = host
        self.end = endpoint(host)
        self.route = Route()

    def __enter__(self) -> Connection:
        try:
            self.line = self.route.admit(self.end)
        except BaseException:
            self.route.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.route.close()

    @property
    def where(self) -> str:
        """Which host, for errors."""
        return self.end.where

    @property
    def user(self) -> str:
        """Who is logged in."""
        return self.end.user

    def by_hand(self, command: str) -> str:
        """What a person types to run a command there."""
        return f"{self.end.command} {command}"

    def start(self, command: str, stdin: bytes = b"") -> paramiko.Channel:
        """Run a command line of the host's login shell; `stdin` is sent at once and stays open."""
        from paramiko import SSHException

        try:
            session = self.line.open_session()
            session.exec_command(command)
        except (OSError, EOFError, SSHException) as problem:
            raise self._lost(problem) from problem
        self._send(session, stdin)
        return session

    def start_as_root(self, program: list[str], stdin: bytes = b"") -> paramiko.Channel:
        """Run a program as root: as it is, by `sudo -n`, or with the password, which costs one round trip more."""
        password = self.host.become_password
        script = as_root(program, become=self.host.become, asks=password is not None, python=self.host.python)
        if password is None:
            return self.start(f"exec sh -c {shlex.quote(script)}", stdin)
        channel = self.start(f"exec sh -c {shlex.quote(script)}", (password.encode() + b"\n") * 2)
        _await_ready(channel)
        self._send(channel, stdin)
        return channel

    def _send(self, channel: paramiko.Channel, stdin: bytes) -> None:
        try:
            channel.sendall(stdin)
        except OSError as problem:
            # Of a command that has ended before it read all, the exit code says why.
            if not self.line.is_active():
                raise self._lost(problem) from problem

    def _lost(self, problem: Exception) -> UnreachableError:
        what = f"the connection was lost before anything began: {problem or type(problem).__name__}"
        return UnreachableError(what, where=self.where, hint="try again")


def _await_ready(channel: paramiko.Channel) -> None:
    mark, seen = f"{READY}\n".encode(), b""
    # Byte for byte: what stands behind it is the program's; whatever a login shell prints stands before.
    while seen != mark and (byte := channel.recv(1)):
        seen = (seen + byte)[-len(mark) :]
