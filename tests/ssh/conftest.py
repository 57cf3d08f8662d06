"""A counting server, a client that knows it, and payloads whose whole world is a temporary folder."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import paramiko
import pytest

from carboy.applier.resource import Resource
from carboy.catalog import Catalog
from carboy.fleet.job import holder
from carboy.fleet.supply import Supply
from carboy.inventory import Host
from carboy.payload import pack, repairs
from carboy.remote import Answer, Event, conduct
from carboy.ssh import endpoint as endpoints
from carboy.ssh import key_file, trust
from tests.support.ssh_server import SshServer, environment
from tests.support.trees import ME

SYSTEM = ("/usr/bin", "/bin")
MakeHost = Callable[..., Host]


def pin(host: Host, key: paramiko.PKey) -> Path:
    """Pin a key of a host, as `trust` does; returns known_hosts."""
    return trust.pin(endpoints.endpoint(host), key)


@pytest.fixture(scope="session")
def login() -> paramiko.PKey:
    """The key that the server lets in."""
    return paramiko.ECDSAKey.generate()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of whoever runs Carboy: nothing of the real one is read or written."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setattr(endpoints, "SANDBOX_KNOWN_HOSTS", home / "sandbox")
    # Tests write other keys to the same place, as no run does.
    key_file._opened.clear()
    return home


@pytest.fixture
def server(home: Path, tmp_path: Path, login: paramiko.PKey) -> Iterator[SshServer]:
    """A server whose python3 is this very Python."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python3").symlink_to(sys.executable)
    with SshServer(environment(home, tmp_path / "bin", *SYSTEM), login) as server:
        yield server


@pytest.fixture
def make_host(server: SshServer, home: Path, login: paramiko.PKey) -> MakeHost:
    """A host of an inventory that leads to the server, with its own key; more variables can be given."""
    key_file = home / "id"
    login.write_private_key_file(str(key_file))

    def make(**more: object) -> Host:
        known = {
            "ansible_host": "127.0.0.1",
            "ansible_port": server.port,
            "ansible_user": ME,
            "ansible_ssh_private_key_file": str(key_file),
            "ansible_become": False,
        }
        return Host("target", {**known, **more}, {})

    return make


@pytest.fixture
def target(make_host: MakeHost, server: SshServer) -> Host:
    """That host, with the server's key pinned."""
    host = make_host()
    pin(host, server.key)
    return host


class Deploy:
    """Applies resources on a host as `invoke deploy` does; its state lies below a folder, not in the real /var."""

    def __init__(self, host: Host, root: Path) -> None:
        self.host = host
        self.root = root
        self.events: list[Event] = []
        self.answer: Answer | None = None
        """Stands in for the controller's answers to what the host lacks."""

    def __call__(self, *resources: Resource, sink: Callable[[Event], None] | None = None, **args: Any) -> int:
        """Run once; returns the exit code and keeps the events."""
        self.events = []
        catalog = Catalog.of(("test", resource) for resource in resources)
        modules = tuple({type(resource).__module__.rpartition(".")[2] for resource in resources})
        given = {"check": False, "diff": False, "wait": 0, "catalog": catalog.wire(), **args}
        payload = moved(
            pack("apply", {"app": "probe", "verb": "deploy", "run": "r1", "holder": holder("r1"), **given}, modules),
            self.root,
        )

        def keep(event: Event) -> None:
            self.events.append(event)
            if sink:
                sink(event)

        supply = Supply(catalog.blobs, partial(repairs, "apply", modules))
        return conduct(self.host, lambda: payload, self.answer or supply, keep)

    @property
    def statuses(self) -> dict[str, str]:
        """What became of each resource."""
        return {event["resource"]: event["status"] for event in self.events if event["event"] == "resource"}


@pytest.fixture
def deploy(target: Host, tmp_path: Path) -> Deploy:
    """Deploys to the server."""
    return Deploy(target, tmp_path / "host")


def moved(payload: bytes, root: Path) -> bytes:
    """The same payload with its state and locks below `root`."""
    source = zlib.decompress(payload.partition(b"\n")[2]).decode()
    for place in ("/var/lib/carboy", "/run/carboy"):
        assert place in source
        source = source.replace(place, f"{root}{place}")
    packed = zlib.compress(source.encode())
    return b"%d\n%s" % (len(packed), packed)
