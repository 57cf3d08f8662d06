"""Container hosts for the benchmarks, by the names and ports under which contestants reach them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import cycle, islice

from carboy.project import ROOT, STATE
from carboy.sandbox import ContainerHost, HostOptions, create
from carboy.sandbox.container import Container, container_name
from carboy.sandbox.engine import find

ROUND_TRIP = 0.05
APP_PORTS = (8001, 8002, 8003, 8004)
"""One for each contestant: their apps live on the same hosts side by side."""
AT_ONCE = 4
# sshd turns new connections away when ten are not logged in yet, which many names for one host soon are.
ROOM = "echo MaxStartups 500 >/etc/ssh/sshd_config.d/20-bench.conf; systemctl reload ssh"


@dataclass(frozen=True)
class Target:
    """One name under which a host is reached."""

    name: str
    port: int
    host: ContainerHost
    apps: dict[int, int]
    """From a port of the host to the port of this machine that leads there."""


Targets = tuple[Target, ...]


@contextmanager
def fleet(count: int) -> Iterator[Targets]:
    """So many fresh hosts, which are removed however the block ends."""
    names = [f"bench{os.getpid()}-{number:02}" for number in range(1, count + 1)]
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            hosts = list(pool.map(_host, names))
        yield tuple(Target(host.name, host.port, host, host.container.ports()) for host in hosts)
    finally:
        _remove(names)


def _host(name: str) -> ContainerHost:
    ports = tuple(f"--publish=127.0.0.1::{port}" for port in APP_PORTS)
    host = create(name, HostOptions(extra=ports), state=STATE, progress=_silent)
    host.container.shell(ROOM)
    return host


def _remove(names: list[str]) -> None:
    # An impatient second Ctrl-C must not leave hosts behind; the engine would hear it but for a session of its own.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        command = [sys.executable, "-m", "benchmarks.fleet", *names]
        subprocess.run(command, cwd=ROOT, check=True, start_new_session=True)
    finally:
        signal.signal(signal.SIGINT, before)


def remove(name: str) -> None:
    """Remove a host of that name; one that never was is no error."""
    Container(find(), container_name(name, STATE)).remove()


@contextmanager
def far(targets: Targets) -> Iterator[Targets]:
    """The same hosts over lines with a round trip of 50 ms."""
    command = [sys.executable, "-m", "benchmarks.relay", str(targets[0].port), str(ROUND_TRIP)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as relay:
        assert relay.stdout
        try:
            yield (replace(targets[0], name="far", port=int(relay.stdout.readline())),)
        finally:
            relay.terminate()


def many(targets: Targets, count: int) -> Targets:
    """So many names for the same few hosts."""
    return tuple(replace(each, name=f"name{number:03}") for number, each in enumerate(islice(cycle(targets), count)))


def _silent(text: str) -> None:
    del text


if __name__ == "__main__":
    with ThreadPoolExecutor(AT_ONCE) as workers:
        list(workers.map(remove, sys.argv[1:]))
