"""Getting in: host keys, login keys, hosts that refuse or stay silent; each is exit code 4 and a hint."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

import paramiko
import pytest

from carboy.errors import UnreachableError
from carboy.inventory import Host
from carboy.ssh import trust
from carboy.ssh.connection import Connection
from carboy.ssh.endpoint import endpoint
from carboy.ssh.known import fingerprint
from tests.ssh.conftest import MakeHost, pin
from tests.support.ssh_server import SshServer


def refusal(host: Host) -> UnreachableError:
    """The error with which a connection ends."""
    with pytest.raises(UnreachableError) as caught, Connection(host):
        pass
    assert caught.value.exit_code == 4
    assert len(str(caught.value).splitlines()) == 3
    assert host.name in caught.value.where
    return caught.value


def test_an_unknown_host_key_is_refused(make_host: MakeHost, server: SshServer, home: Path) -> None:
    """Nobody pinned the key: its fingerprint is shown with the command that pins it, and no login is tried."""
    error = refusal(make_host())
    assert fingerprint(server.key.asbytes()) in error.what
    assert "invoke trust --host target" in error.hint
    assert not (home / ".ssh/known_hosts").exists(), "refusing must not pin"
    assert server.counts.calls == (1, 0, 0)


def test_a_changed_host_key_is_refused(make_host: MakeHost, server: SshServer) -> None:
    """Another key is pinned: the error says so loudly, with the fingerprint that the host shows now."""
    host = make_host()
    pin(host, paramiko.ECDSAKey.generate())
    error = refusal(host)
    assert "CHANGED" in error.what
    assert fingerprint(server.key.asbytes()) in error.what
    assert "invoke trust --host target" in error.hint
    assert server.counts.channels == 0


def test_a_pinned_key_lets_in(make_host: MakeHost) -> None:
    """What `trust` pins is what the host offers; afterwards the connection opens and commands run."""
    host = make_host()
    pin(host, trust.offered(endpoint(host)))
    with Connection(host) as connection:
        channel = connection.start("echo in")
        assert channel.makefile("rb").read() == b"in\n"
        assert channel.recv_exit_status() == 0


def test_pinning_again_replaces(make_host: MakeHost, server: SshServer) -> None:
    """A newly pinned key takes the place of the host's older one, and other hosts keep theirs."""
    host = make_host()
    path = pin(host, paramiko.ECDSAKey.generate())
    path.write_text(path.read_text() + "elsewhere ssh-ed25519 AAAA\n")
    pin(host, server.key)
    lines = path.read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["elsewhere", f"[127.0.0.1]:{server.port}"]
    with Connection(host):
        pass


OTHERS = [
    "# a remark of a person: grüße  ".encode(),
    b"",
    b"elsewhere,192.0.2.7 ssh-ed25519 AAAA somebody",
    b"|1|bm8gc2FsdA==|bm8gaGFzaA== ssh-ed25519 AAAA",
    b"@cert-authority * ssh-ed25519 AAAA",
    b"@revoked elsewhere\tssh-ed25519 AAAA",
    b"127.0.0.1 ssh-ed25519 AAAA another port",
]


@pytest.mark.parametrize("form", ["{name}", "{hash}", "{name},other", "other,{name}", "{name}\t", "  {name}"])
def test_pinning_replaces_every_form_of_an_entry(make_host: MakeHost, server: SshServer, form: str, home: Path) -> None:
    """Hashed, in a list, or after white space: the older entry goes, and every other line stays byte for byte."""
    host = make_host()
    name = endpoint(host).pin_name
    older = paramiko.ECDSAKey.generate()
    names = form.format(name=name, hash=paramiko.HostKeys.hash_host(name))
    line = f"{names} {older.get_name()} {older.get_base64()}".encode()
    remark = f"#other,{name} ssh-ed25519 AAAA".encode()
    path = home / ".ssh/known_hosts"
    path.write_bytes(b"\n".join([remark, *OTHERS[:3], line, *OTHERS[3:], line]))
    path.chmod(0o640)
    pin(host, server.key)
    assert path.read_bytes().splitlines() == [
        remark,
        *OTHERS,
        f"{name} {server.key.get_name()} {server.key.get_base64()}".encode(),
    ]
    assert path.stat().st_mode & 0o777 == 0o640
    assert [entry.name for entry in path.parent.iterdir()] == [path.name], "no draft is left"
    with Connection(host):
        pass


def test_a_pin_in_a_remark_is_none(make_host: MakeHost, server: SshServer, home: Path) -> None:
    """A line that a person commented out lets nobody in."""
    host = make_host()
    key = f"{server.key.get_name()} {server.key.get_base64()}"
    (home / ".ssh/known_hosts").write_text(f"#other,{endpoint(host).pin_name} {key}\n")
    assert "is not known" in refusal(host).what


@pytest.mark.parametrize("line", [b"|1|broken x y", b"|1|!|! x y", b"|1|AAAA|AAAA x y", b"gr\xfc\xdfe x y", b"\xff"])
def test_pinning_leaves_what_it_cannot_read(make_host: MakeHost, server: SshServer, line: bytes, home: Path) -> None:
    """A line that is no entry of any host stays where it is."""
    (home / ".ssh/known_hosts").write_bytes(line + b"\n")
    assert pin(make_host(), server.key).read_bytes().splitlines()[0] == line


def test_a_known_hosts_that_is_a_link_stays_one(make_host: MakeHost, server: SshServer, home: Path) -> None:
    """Who keeps known_hosts elsewhere finds the new key there; a new file is its owner's alone."""
    path = home / ".ssh/known_hosts"
    path.symlink_to(home / "kept")
    pin(make_host(), server.key)
    assert path.is_symlink() and server.key.get_base64() in (home / "kept").read_text()
    assert (home / "kept").stat().st_mode & 0o777 == 0o600


def test_what_trust_reports(make_host: MakeHost, server: SshServer, home: Path) -> None:
    """The event has all that a program needs to know what was pinned where."""
    host = make_host()
    assert trust.trust(host, yes=True) == [
        {
            "event": "pinned",
            "name": endpoint(host).pin_name,
            "type": server.key.get_name(),
            "fingerprint": fingerprint(server.key.asbytes()),
            "file": str(home / ".ssh/known_hosts"),
        }
    ]


@pytest.mark.parametrize("key", [paramiko.ECDSAKey.generate(), paramiko.RSAKey.generate(2048)], ids=["ecdsa", "rsa"])
def test_a_refused_login_key(target: Host, server: SshServer, key: paramiko.PKey) -> None:
    """The server does not know our key, of whatever type: the user is named, and a command to look with."""
    key.write_private_key_file(str(target.key_file))
    server.accepted = paramiko.ECDSAKey.generate()
    error = refusal(target)
    assert error.what == f"the host refused {target.user}'s key"
    assert f"ssh -v -p {server.port}" in error.hint
    assert server.counts.channels == 0


def test_a_login_key_that_is_not_there(make_host: MakeHost, server: SshServer, home: Path) -> None:
    """A key file that does not exist is named in the error."""
    host = make_host(ansible_ssh_private_key_file=str(home / "no-such-key"))
    pin(host, server.key)
    assert "no-such-key" in str(refusal(host))


@pytest.mark.parametrize("text", [b"", b"no key", b"-----BEGIN OPENSSH PRIVATE KEY-----\nbad\n", b"\xff\x00" * 50])
def test_a_login_key_that_is_none(target: Host, server: SshServer, text: bytes) -> None:
    """A file that holds no key is named, and no login is tried."""
    assert target.key_file
    target.key_file.write_bytes(text)
    assert str(target.key_file) in refusal(target).what
    assert server.counts.channels == 0


def test_a_refused_connection(make_host: MakeHost) -> None:
    """Nothing listens on the port: told at once."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert f"nothing listens on 127.0.0.1 port {port}: connection refused" in refusal(make_host(ansible_port=port)).what


def test_a_name_that_nobody_knows(make_host: MakeHost) -> None:
    """A name without an address is told from a host that does not answer."""
    error = refusal(make_host(ansible_host="no-such.invalid"))
    assert "the name no-such.invalid is not known" in error.what and "ansible_host" in error.hint


def test_no_way_from_here(make_host: MakeHost) -> None:
    """Where this machine's own network is the obstacle, that is what the error says."""
    error = refusal(make_host(ansible_ssh_common_args="-o BindAddress=192.0.2.1"))
    assert "no way to 127.0.0.1" in error.what and "this machine's network" in error.hint


def test_packets_that_are_lost(make_host: MakeHost) -> None:
    """A connection that never comes up is given up after ansible_timeout, and the error says how long that was."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as waiting:
        # Beyond its backlog the kernel drops whoever knocks, as a firewall does.
        for _ in range(3):
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        port = full.getsockname()[1]
        error = refusal(make_host(ansible_port=port, ansible_timeout=1))
    assert f"no answer within 1 s from 127.0.0.1 port {port}" in error.what and "firewall" in error.hint


def test_a_host_that_accepts_and_stays_silent(make_host: MakeHost) -> None:
    """The wait for a banner ends after ansible_timeout, and the error says that nothing came."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        error = refusal(make_host(ansible_port=silent.getsockname()[1], ansible_timeout=1))
        assert time.monotonic() - began < 5
    assert "no answer within 1 s" in error.what


def test_a_port_that_speaks_something_else(make_host: MakeHost) -> None:
    """A web server on the SSH port is an error in words, not a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as web:
        Thread(target=_answer_http, args=(web,), daemon=True).start()
        assert "SSH" in refusal(make_host(ansible_port=web.getsockname()[1], ansible_timeout=2)).what


def _answer_http(web: socket.socket) -> None:
    line, _ = web.accept()
    with line:
        line.sendall(b"HTTP/1.1 400 Bad Request\r\nServer: web\r\n\r\n")


def test_no_stall(target: Host) -> None:
    """Nagle is off: a command must not wait 40 ms for an acknowledgement."""
    with Connection(target) as connection:
        assert connection.line.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
