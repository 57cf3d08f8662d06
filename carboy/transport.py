"""One SSH connection to one host: checked host key, no stalls, and commands as root."""

from __future__ import annotations

import contextlib
import shlex
import socket
import time
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from carboy.errors import UnreachableError
from carboy.inventory import Host
from carboy.local import Local

if TYPE_CHECKING:
    import paramiko

NO_SUDO, NO_PYTHON, SUDO_MISSING = 77, 78, 79


class Channel(Protocol):
    """A program on a host: what it reads, what it writes, and how it ends; paramiko's words for these."""

    def sendall(self, data: bytes, /) -> None:
        """Write all of it to the program's stdin."""

    def shutdown_write(self) -> None:
        """End the program's stdin."""

    def makefile(self, mode: str, /) -> Any:
        """The program's stdout."""

    def makefile_stderr(self, mode: str, /) -> Any:
        """The program's stderr."""

    def settimeout(self, seconds: float, /) -> None:
        """Let reading fail after so long without a word."""

    def recv_exit_status(self) -> int:
        """Wait for its end; -1 if nobody says how it ended."""


class Connection:
    """An open SSH connection; use as a context manager."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def __enter__(self) -> Connection:
        self._fabric = _fabric(self.host)
        try:
            _open(self.host, self._fabric)
        except UnreachableError:
            self._fabric.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # paramiko's thread looks up from the line only every 0.1 s, and Python waits for it at its end.
        with contextlib.suppress(OSError):
            self._fabric.transport.sock.shutdown(socket.SHUT_RDWR)
        self._fabric.close()

    def start(self, command: str, stdin: bytes = b"") -> Channel:
        """Run a command line of the host's login shell; `stdin` is sent at once and stays open."""
        from paramiko import SSHException

        try:
            session = self._fabric.create_session()
            session.exec_command(command)
            session.sendall(stdin)
        except (OSError, EOFError, SSHException) as problem:
            what = f"the connection was lost before anything began: {_words(problem)}"
            raise UnreachableError(what, where=f"host {self.host.name}", hint="try again") from problem
        channel: Channel = session
        return channel

    def start_as_root(self, program: list[str], stdin: bytes = b"") -> Channel:
        """Run a program as root: as it is, by `sudo -n`, or with the password as the first line of its stdin."""
        password = self.host.become_password
        script = as_root(program, become=self.host.become, asks=password is not None)
        first = b"" if password is None else password.encode() + b"\n"
        return self.start(f"exec sh -c {shlex.quote(script)}", first + stdin)


Way = Connection | Local


def way_to(host: Host) -> Way:
    """The way to a host, to be used as a context manager: SSH, or for this machine none at all."""
    return Local(host) if host.local else Connection(host)


def as_root(program: list[str], *, become: bool, asks: bool) -> str:
    """The sh script that runs `program` as root; 77, 78, 79: sudo refuses, no such program, no sudo."""
    run = shlex.join(program)
    drop = "IFS= read -r _; " if asks else ""
    found = f"command -v {shlex.quote(program[0])} >/dev/null || exit {NO_PYTHON}; "
    if not become:
        return f"{drop}{found}exec {run}"
    root = f'if [ "$(id -u)" = 0 ]; then {drop}exec {run}; fi; command -v sudo >/dev/null || exit {SUDO_MISSING}; '
    if not asks:
        # The question whether sudo works costs a process, so it is only asked when the program failed to start.
        return f"{found}{root}sudo -n {run}; s=$?; [ $s = 0 ] || sudo -n true 2>/dev/null || exit {NO_SUDO}; exit $s"
    free = f"if sudo -n true 2>/dev/null; then {drop}exec sudo -n {run}; fi; "
    asked = f"sudo -S -p '' {run}; s=$?; [ $s != 1 ] || exit {NO_SUDO}; exit $s"
    return f"{found}{root}{free}{asked}"


def _fabric(host: Host) -> Any:
    import fabric  # here, because it takes a third of a second and most errors are found before it is needed

    from carboy.pulse import Line

    secrets = {"pkey": _key(host), "password": host.password}
    given = {key: value for key, value in secrets.items() if value is not None}
    alone = {"allow_agent": False, "look_for_keys": False} if host.key_file else {}
    line = partial(Line, patience=host.connect_timeout)
    return fabric.Connection(
        host.address,
        user=host.user,
        port=host.port,
        connect_timeout=host.connect_timeout,
        connect_kwargs={**given, **alone, "transport_factory": line},
    )


def _key(host: Host) -> paramiko.PKey | None:
    """The declared key, loaded here: given its file name, paramiko tries it as every type and blames the last one."""
    import paramiko

    try:
        return paramiko.PKey.from_path(str(host.key_file)) if host.key_file else None
    except (OSError, ValueError, TypeError, paramiko.SSHException) as problem:
        raise UnreachableError(
            f"the key {host.key_file} cannot be used: {_words(problem)}",
            where=f"host {host.name}",
            hint="name a key without passphrase in ansible_ssh_private_key_file, or none to use your agent's",
        ) from problem


def _open(host: Host, connection: Any) -> None:
    import paramiko

    from carboy import hostkeys

    where = f"host {host.name} ({host.user}@{host.address}:{host.port})"
    hostkeys.load(connection.client)
    connection.client.set_missing_host_key_policy(hostkeys.Refuse(host))
    began = time.monotonic()
    try:
        connection.open()
    except paramiko.BadHostKeyException as problem:
        shown = hostkeys.fingerprint(problem.key)
        raise UnreachableError(
            f"the host key of {host.name} has CHANGED: it shows {shown}, another one is pinned",
            where=where,
            hint=f"if the host was made anew: invoke trust --host {host.name}; if not, somebody is in between",
        ) from problem
    except (OSError, EOFError, paramiko.SSHException) as problem:
        if isinstance(problem, paramiko.AuthenticationException) and not connection.client.get_transport().gave_up:
            hint = f"try: ssh -v -p {host.port} {host.user}@{host.address}"
            raise UnreachableError(f"the host refused {host.user}'s key", where=where, hint=hint) from problem
        # paramiko has a dozen wordings for a host that stays silent, none of which says so.
        late = time.monotonic() - began >= host.connect_timeout
        words = f"no answer within {host.connect_timeout} s" if late else _words(problem)
        raise UnreachableError(f"no SSH connection: {words}", where=where, hint="is the host up?") from problem
    # paramiko leaves Nagle on, which costs 40 ms a command.
    connection.transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _words(problem: Exception) -> str:
    return str(problem) or type(problem).__name__
