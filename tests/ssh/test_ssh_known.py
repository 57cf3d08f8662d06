"""Which host keys are believed, on a real sshd: every form of known_hosts, authorities, and what is revoked."""

from __future__ import annotations

import fnmatch
import getpass
import io
import socket
import subprocess
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import paramiko
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carboy.errors import DeclarationError, UnreachableError
from carboy.inventory import Host
from carboy.ssh import hostkeys, known, route, trust
from carboy.ssh.endpoint import endpoint
from tests.support.sshd import Sshd, enters, keygen, public, refusal, sign, sshd

ME = getpass.getuser()
KINDS = ("ed25519", "ecdsa", "rsa")
SetUp = Callable[..., Host]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A server with a host key of every kind."""
    folder = tmp_path_factory.mktemp("server")
    key = keygen(folder / "id")
    with sshd(folder / "host", kinds=KINDS) as made:
        made.let_in(key)
        yield made


@pytest.fixture
def box(home: Path, server: Sshd) -> SetUp:
    """The server as a host, with these lines in known_hosts."""

    def box(*lines: str, port: int = 0) -> Host:
        (home / ".ssh/known_hosts").write_text("".join(lines))
        known = {"ansible_host": "127.0.0.1", "ansible_port": port or server.port, "ansible_user": ME}
        key = {"ansible_ssh_private_key_file": str(server.folder.parent / "id")}
        return Host("box", {**known, **key, "ansible_become": False}, {})

    return box


@pytest.mark.parametrize("kind", KINDS)
def test_the_type_that_is_pinned_is_asked_for(box: SetUp, server: Sshd, kind: str) -> None:
    """The host has keys of other types too, which nobody has pinned: it is known by the one that is."""
    enters(box(server.line(kind)))


def test_hashed_names(box: SetUp, server: Sshd, home: Path) -> None:
    """What `ssh-keygen -H` makes of known_hosts is read as before."""
    host = box("elsewhere " + server.host_key("rsa") + "\n", server.line())
    subprocess.run(["ssh-keygen", "-H", "-f", f"{home}/.ssh/known_hosts"], check=True, capture_output=True)
    assert "127.0.0.1" not in (home / ".ssh/known_hosts").read_text()
    enters(host)


@pytest.mark.parametrize("names", ["[127.0.0.*]:*", "other,[127.0.0.1]:{port}", "*,!elsewhere", "[127.0.0.?]:{port}"])
def test_patterns(box: SetUp, server: Sshd, names: str) -> None:
    """Names may be lists and patterns."""
    enters(box(server.line(name=names.format(port=server.port))))


@pytest.mark.parametrize("names", ["127.0.0.1", "[127.0.0.1]:1", "*,![127.0.0.*", "#[127.0.0.1]:{port}", "[127.0.0.1"])
def test_other_names(box: SetUp, server: Sshd, names: str) -> None:
    """A key of another port, of a name that is excepted, or in a remark, is none of this host."""
    assert "is not known" in refusal(box(server.line(name=names.format(port=server.port)))).what


def test_one_of_several_keys(box: SetUp, server: Sshd, tmp_path: Path) -> None:
    """Of several keys of one type any will do, in whatever order they stand."""
    other = f"[127.0.0.1]:{server.port} {public(keygen(tmp_path / 'old'))}"
    enters(box(server.line(), other))
    enters(box(other, server.line()))
    error = refusal(box(other))
    assert "CHANGED" in error.what and "known_hosts:1" in error.what


def test_a_revoked_key(box: SetUp, server: Sshd) -> None:
    """A key that is marked as revoked is refused, though it is pinned too."""
    error = refusal(box(server.line(), f"@revoked * {server.host_key()}\n"))
    assert "is revoked" in error.what and "known_hosts:2" in error.hint


def test_a_line_of_another_type(box: SetUp, server: Sshd) -> None:
    """A line whose word for the type is not what its key says pins nothing, as with ssh."""
    line = server.line().replace("ssh-ed25519", "ssh-rsa")
    assert "is not known" in refusal(box(line)).what
    enters(box(line, server.line()))


def test_what_the_configuration_allows(box: SetUp, server: Sshd, home: Path) -> None:
    """HostKeyAlgorithms leaves a type of key out, and RequiredRSASize short ones, though they are pinned."""
    host = box(server.line("rsa"))
    (home / ".ssh/config").write_text("HostKeyAlgorithms ssh-ed25519\n")
    assert "CHANGED" in refusal(host).what and "ssh-ed25519" in refusal(host).what
    (home / ".ssh/config").write_text("HostKeyAlgorithms -rsa*\n")
    assert "CHANGED" in refusal(host).what
    (home / ".ssh/config").write_text("HostKeyAlgorithms sk-ssh-ed25519@openssh.com\n")
    with pytest.raises(DeclarationError, match="HostKeyAlgorithms"):
        enters(host)
    (home / ".ssh/config").write_text("RequiredRSASize 3072\n")
    error = refusal(host)
    assert "too short" in error.what and "2048 bits" in error.what and "RequiredRSASize 3072" in error.hint
    (home / ".ssh/config").write_text("RequiredRSASize 2048\nHostKeyAlgorithms rsa*\n")
    enters(host)


@pytest.fixture
def certified(tmp_path: Path) -> Callable[..., Any]:
    """Starts a server whose host key an authority has signed, with these options of ssh-keygen."""
    authority = keygen(tmp_path / "authority")
    login = keygen(tmp_path / "login")

    @contextmanager
    def certified(*options: str) -> Iterator[Sshd]:
        certificate = f"HostCertificate {tmp_path}/host/host_ed25519-cert.pub"
        with sshd(tmp_path / "host", certificate, prepare=lambda key: sign(authority, key, *options)) as made:
            made.let_in(login)
            yield made

    return certified


def authority(folder: Path, name: str, marker: str = "@cert-authority") -> str:
    """The line that makes a key an authority for a name."""
    return f"{marker} {name} {public(folder / 'authority')}"


def signed(box: SetUp, made: Sshd, folder: Path, *lines: str) -> Host:
    """That server as a host."""
    host = box(*lines, port=made.port)
    return Host("box", {**host.variables, "ansible_ssh_private_key_file": str(folder / "login")}, {})


def test_an_authority(box: SetUp, certified: Any, tmp_path: Path) -> None:
    """A host whose certificate an authority of that name has signed needs no pin of its own."""
    with certified("-h", "-n", "127.0.0.1") as made:
        enters(signed(box, made, tmp_path, authority(tmp_path, "[127.0.0.1]:*")))
        assert "signed by no authority" not in refusal(signed(box, made, tmp_path, authority(tmp_path, "other"))).what
        error = refusal(signed(box, made, tmp_path, authority(tmp_path, "*"), authority(tmp_path, "*", "@revoked")))
        assert "the authority that signed the host key of box is revoked" in error.what


BAD = {
    "for another host": (("-h", "-n", "other"), "is not for 127.0.0.1"),
    "for nobody": (("-h",), "is not for 127.0.0.1"),
    "expired": (("-h", "-n", "127.0.0.1", "-V", "20200101:20200102"), "has expired"),
    "for later": (("-h", "-n", "127.0.0.1", "-V", "20900101:20910101"), "not valid yet"),
    "for a user": (("-n", "127.0.0.1"), ""),
}


@pytest.mark.parametrize(("options", "why"), BAD.values(), ids=BAD)
def test_a_certificate_that_is_not_good(
    box: SetUp, certified: Any, tmp_path: Path, options: tuple[str, ...], why: str
) -> None:
    """A certificate that the authority did not make for this host, now, is refused with the reason."""
    with certified(*options) as made:
        error = refusal(signed(box, made, tmp_path, authority(tmp_path, "*")))
        assert "is not known" in error.what and why in error.what and "authority" in error.hint
        # A pin of the key itself counts all the same.
        enters(signed(box, made, tmp_path, authority(tmp_path, "*"), made.line()))


def test_another_authority(box: SetUp, certified: Any, tmp_path: Path) -> None:
    """What somebody else has signed proves nothing; nor does a host without a certificate."""
    with certified("-h", "-n", "127.0.0.1") as made:
        other = f"@cert-authority * {public(keygen(tmp_path / 'other'))}"
        assert "which is no authority for it" in refusal(signed(box, made, tmp_path, other)).what


def test_a_revoked_authority(box: SetUp, certified: Any, tmp_path: Path, home: Path) -> None:
    """Who has revoked an authority refuses what it signed, though the key itself is pinned: as ssh does."""
    with certified("-h", "-n", "127.0.0.1") as made:
        host = signed(box, made, tmp_path, made.line(), authority(tmp_path, "*", "@revoked"))
        options = f"-F none -o BatchMode=yes -o UserKnownHostsFile={home}/.ssh/known_hosts -p {made.port}".split()
        done = subprocess.run(["ssh", *options, f"{ME}@127.0.0.1", "true"], capture_output=True, text=True)
        assert "revoked" in done.stderr.lower(), done.stderr
        error = refusal(host)
        assert "the authority that signed the host key of box is revoked" in error.what
        assert "known_hosts:2" in error.hint


SIGNED_WITH = {
    "SHA-1": ("ssh-rsa", "", "signed with ssh-rsa"),
    "one that is left out": ("rsa-sha2-256", "CASignatureAlgorithms -rsa-sha2-256", "signed with rsa-sha2-256"),
    "SHA-1, as an exception": ("ssh-rsa", "CASignatureAlgorithms +ssh-rsa", "signed with ssh-rsa"),
    "a short key": ("rsa-sha2-256", "RequiredRSASize 3072", "2048 bits"),
    "all is well": ("rsa-sha2-256", "CASignatureAlgorithms rsa-sha2-256", ""),
}


@pytest.mark.parametrize(("algorithm", "setting", "why"), SIGNED_WITH.values(), ids=SIGNED_WITH)
def test_how_a_certificate_is_signed(
    box: SetUp, tmp_path: Path, home: Path, algorithm: str, setting: str, why: str
) -> None:
    """A signature counts only if it is of a kind that ssh takes by default, and that its configuration leaves."""
    (home / ".ssh/config").write_text(setting)
    key = keygen(tmp_path / "host")
    sign(keygen(tmp_path / "authority", "rsa"), key, "-t", algorithm, "-h", "-n", "127.0.0.1")
    end = endpoint(box(authority(tmp_path, "*")))
    shown = paramiko.Ed25519Key(data=b64decode((tmp_path / "host-cert.pub").read_text().split()[1]))
    if not why:
        assert "signed by an authority" in hostkeys.check(end, shown, known.pins(end))
        return
    with pytest.raises(UnreachableError, match=why):
        hostkeys.check(end, shown, known.pins(end))


def test_a_forged_certificate(box: SetUp, tmp_path: Path) -> None:
    """A certificate that was changed after the authority signed it proves nothing."""
    key = keygen(tmp_path / "host")
    sign(keygen(tmp_path / "authority"), key, "-h", "-n", "10.0.0.1")
    end = replace(endpoint(box(authority(tmp_path, "*"))), address="10.0.0.2")
    certificate = b64decode((tmp_path / "host-cert.pub").read_text().split()[1])
    genuine, forged = (
        paramiko.Ed25519Key(data=certificate.replace(b"10.0.0.1", name)) for name in (b"10.0.0.1", b"10.0.0.2")
    )
    assert "signed by an authority" in hostkeys.check(replace(end, address="10.0.0.1"), genuine, known.pins(end))
    with pytest.raises(UnreachableError, match="certificate cannot be used"):
        hostkeys.check(end, forged, known.pins(end))


def test_a_host_without_a_certificate(box: SetUp, tmp_path: Path) -> None:
    """There is an authority for its name, and nobody has signed its key."""
    keygen(tmp_path / "authority")
    assert "signed by no authority" in refusal(box(authority(tmp_path, "*"))).what


def test_trust_asks_only_for_what_is_new(box: SetUp, capsys: pytest.CaptureFixture[str]) -> None:
    """A key that is pinned is neither shown nor asked for again; an unknown one is shown, and pinned."""
    host = box()
    [event] = trust.trust(host, yes=True)
    assert event["fingerprint"] in capsys.readouterr().err and event["file"]
    [event] = trust.trust(host, yes=False)
    assert (event["file"], capsys.readouterr().err) == ("", "")
    enters(host)


def test_trust_and_a_revoked_key(box: SetUp, server: Sshd, home: Path) -> None:
    """A key that is revoked is not pinned, and not said to be."""
    host = box(f"@revoked * {server.host_key()}\n")
    before = (home / ".ssh/known_hosts").read_text()
    with pytest.raises(UnreachableError, match="is revoked"):
        trust.trust(host, yes=True)
    assert (home / ".ssh/known_hosts").read_text() == before


def test_trust_says_that_a_key_has_changed(
    box: SetUp, server: Sshd, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is asked for a key learns which other one is pinned; a host without one has none to be told of."""
    monkeypatch.setattr("sys.stdin", io.StringIO("n\nn\n"))
    for line, told in ((f"[127.0.0.1]:{server.port} {public(keygen(tmp_path / 'old'))}", True), ("", False)):
        with pytest.raises(UnreachableError, match="not pinned"):
            trust.trust(box(line), yes=False)
        assert ("ANOTHER key is pinned in" in capsys.readouterr().err) == told


def test_trust_replaces_all_types(box: SetUp, server: Sshd, tmp_path: Path, home: Path) -> None:
    """Pins of a host that was made anew go, of whatever type; the new one stands alone."""
    kinds = ("rsa", "ecdsa")
    lines = [f"[127.0.0.1]:{server.port} {public(keygen(tmp_path / kind, kind))}" for kind in kinds]
    host = box(*lines)
    assert "CHANGED" in refusal(host).what
    trust.trust(host, yes=True)
    assert len((home / ".ssh/known_hosts").read_text().splitlines()) == 1
    enters(host)


def test_trust_along_the_way(box: SetUp, server: Sshd, tmp_path: Path, home: Path) -> None:
    """Behind a jump both keys are pinned, the jump's first."""
    with sshd(tmp_path / "jump") as jump:
        jump.let_in(server.folder.parent / "id")
        key = f"IdentityFile {server.folder.parent}/id"
        (home / ".ssh/config").write_text(f"Host near\n HostName 127.0.0.1\n Port {jump.port}\n {key}\n")
        host = box()
        host = Host("box", {**host.variables, "ansible_ssh_common_args": "-J near"}, {})
        names = [event["name"] for event in trust.trust(host, yes=True)]
        assert names == [f"[127.0.0.1]:{jump.port}", f"[127.0.0.1]:{server.port}"]
        enters(host)


@pytest.mark.parametrize(
    "option", ["KexAlgorithms diffie-hellman-group14-sha1", "Ciphers chacha20-poly1305@openssh.com"]
)
def test_an_sshd_of_another_age(box: SetUp, tmp_path: Path, option: str) -> None:
    """Where both sides have nothing in common, the error says so, and what would mend it."""
    with sshd(tmp_path / "old", option) as made:
        error = refusal(box(made.line(), port=made.port))
        assert "no algorithm in common" in error.what and "SSH-2.0-OpenSSH" in error.what
        assert "update it" in error.hint and "sshd_config" in error.hint


def test_too_many_logins_at_once(box: SetUp, server: Sshd, tmp_path: Path) -> None:
    """An sshd that hangs up unheard, because others are logging in, is tried again until all are in."""
    with sshd(tmp_path / "busy", "MaxStartups 1") as made:
        made.let_in(server.folder.parent / "id")
        host = box(made.line(), port=made.port)
        # Somebody who takes the one place, for a while.
        with socket.create_connection(("127.0.0.1", made.port)) as idler:
            idler.recv(100)
            crew = ThreadPoolExecutor(4)
            logins = [crew.submit(enters, host) for _ in range(4)]
            while "drop connection" not in made.log.read_text():
                time.sleep(0.01)
        for login in logins:
            login.result()
        assert made.logins() == 4


def test_a_host_that_never_has_room(box: SetUp, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the last attempt the error says how many there were, and what the cause may be."""
    monkeypatch.setattr(route, "PAUSES", (0.01, 0.01))
    with socket.create_server(("127.0.0.1", 0)) as closing:
        crew = ThreadPoolExecutor(1)
        crew.submit(lambda: [closing.accept()[0].close() for _ in range(3)])
        error = refusal(box(port=closing.getsockname()[1]))
    assert "3 times" in error.what and "MaxStartups" in error.hint


@given(line=st.one_of(st.binary(max_size=80), st.text("@|1,*?![]: #ab=\t", max_size=60).map(str.encode)))
def test_any_line(line: bytes) -> None:
    """No line of known_hosts makes its reader fail."""
    assert known.names(line, "host") in (True, False)


@given(st.text("ab*?.", max_size=8), st.text("ab.", max_size=8))
def test_patterns_are_those_of_the_shell(pattern: str, name: str) -> None:
    """`*` and `?` mean what they mean everywhere."""
    assert known.fits(pattern, name) == fnmatch.fnmatchcase(name, pattern)
