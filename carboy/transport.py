"""The way to a host: an SSH connection, or for this machine none at all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from carboy.inventory import Host
from carboy.local import Local
from carboy.ssh.connection import Connection, warm


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


Way = Connection | Local


def way_to(host: Host) -> Way:
    """The way to a host, to be used as a context manager."""
    return Local(host) if host.local else Connection(host)


def foresee(hosts: Iterable[Host]) -> None:
    """Prepare for the way to these hosts, as far as none of them is contacted by it."""
    if not all(host.local for host in hosts):
        warm()
