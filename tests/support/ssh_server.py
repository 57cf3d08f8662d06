"""An SSH server inside the test's own process that really runs commands as the current user, and counts."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import IO, Any

import paramiko
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_SUCCEEDED

CHUNK = 65536


@dataclass
class Counts:
    """What a server has seen so far."""

    connections: int = 0
    channels: int = 0
    questions: int = 0
    commands: list[str] = field(default_factory=list)
    stdin: bytes = b""

    @property
    def calls(self) -> tuple[int, int, int]:
        """Connections, channels and execs."""
        return (self.connections, self.channels, len(self.commands))


class SshServer:
    """Listens on 127.0.0.1 until its `with` block ends; lets in whoever has `accepted`, and runs with `environment`."""

    def __init__(self, environment: Mapping[str, str], accepted: paramiko.PKey | None = None) -> None:
        self.environment = dict(environment)
        self.accepted = accepted
        self.key = paramiko.ECDSAKey.generate()
        self.noise = b""
        self.cut_at = ""
        """At a "channel" or an "exec", instead of granting it."""
        self.frozen_at = ""
        """At a "login", a "channel", an "exec", a "question" or the next "bytes": nothing is answered, nor ended."""
        self.asked: Callable[[int], None] = lambda _: None
        """Called with the number of questions so far whether anybody is there."""
        self._thaw = Event()
        self.counts = Counts()
        self.processes: list[subprocess.Popen[bytes]] = []
        self._transports: list[paramiko.Transport] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

    def __enter__(self) -> SshServer:
        Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._thaw.set()
        self.cut()
        for process in self.processes:
            process.wait(timeout=20)

    def cut(self) -> None:
        """Drop every connection, as a network does: nobody says goodbye to the commands or to the client."""
        for transport in self._transports:
            transport.close()

    def pass_by(self, moment: str) -> None:
        """Go on, unless the server is to be frozen here."""
        if self.frozen_at == moment:
            self._thaw.wait()

    def end_sessions(self) -> None:
        """Drop every connection and kill all that their sessions still run, as a reboot of sshd's slice does."""
        self.cut()
        for process in self.processes:
            os.killpg(process.pid, signal.SIGKILL)

    def started(self) -> Counts:
        """Begin to count anew; returns the new counts."""
        self.counts = Counts()
        return self.counts

    def _accept(self) -> None:
        while True:
            try:
                line, _ = self._socket.accept()
            except OSError:
                return
            self.counts.connections += 1
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport = paramiko.Transport(line)
            transport.add_server_key(self.key)
            self._transports.append(transport)
            # With an event paramiko does not wait for the handshake, which may never come.
            transport.start_server(event=Event(), server=_Session(self))

    def run(self, channel: paramiko.Channel, command: str) -> None:
        """Run a command line as sshd does: by the shell, with pipes, to its end."""
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment,
            cwd=self.environment["HOME"],
            start_new_session=True,
        )
        self.processes.append(process)
        assert process.stdin and process.stdout and process.stderr
        Thread(target=self._feed, args=(channel, process.stdin), daemon=True).start()
        errors = Thread(target=_pump, args=(process.stderr, channel.sendall_stderr), daemon=True)
        errors.start()
        _send(channel.sendall, self.noise)
        _pump(process.stdout, channel.sendall)
        errors.join()
        code = process.wait()
        _send(channel.send_exit_status, code % 256)
        _send(lambda _: channel.close(), b"")

    def _feed(self, channel: paramiko.Channel, stdin: IO[bytes]) -> None:
        counts = self.counts
        while data := channel.recv(CHUNK):
            self.pass_by("bytes")
            counts.stdin += data
            if not _send(stdin.write, data) or not _send(lambda _: stdin.flush(), b"x"):
                break
        _send(lambda _: stdin.close(), b"x")


class _Session(paramiko.ServerInterface):
    """What one client may do."""

    def __init__(self, server: SshServer) -> None:
        self.server = server

    def get_allowed_auths(self, username: str) -> str:  # noqa: ARG002 - paramiko's form
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:  # noqa: ARG002
        self.server.pass_by("login")
        return AUTH_SUCCESSFUL if key == self.server.accepted else AUTH_FAILED

    def check_global_request(self, kind: str, msg: paramiko.Message) -> bool:  # noqa: ARG002
        self.server.pass_by("question")
        self.server.pass_by("bytes")
        self.server.counts.questions += 1
        self.server.asked(self.server.counts.questions)
        return False

    def check_channel_request(self, kind: str, chanid: int) -> int:  # noqa: ARG002
        self.server.pass_by("channel")
        self.server.counts.channels += 1
        if self.server.cut_at == "channel":
            self.server.cut()
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.server.pass_by("exec")
        self.server.counts.commands.append(command.decode())
        if self.server.cut_at == "exec":
            self.server.cut()
            return False
        Thread(target=self.server.run, args=(channel, command.decode()), daemon=True).start()
        return True


def _pump(source: IO[bytes], write: Any) -> None:
    while data := os.read(source.fileno(), CHUNK):
        if not _send(write, data):
            break
    # A closed pipe is how a command learns that its reader is gone.
    source.close()


def _send(write: Any, data: Any) -> bool:
    try:
        write(data)
    except (OSError, ValueError, EOFError, paramiko.SSHException):
        return False
    return True


def environment(home: Path, *path: Path | str) -> dict[str, str]:
    """The environment that a login of the server gets: a home, and a PATH of these folders."""
    return {"HOME": str(home), "PATH": ":".join(map(str, path)), "LC_ALL": "C.UTF-8"}
