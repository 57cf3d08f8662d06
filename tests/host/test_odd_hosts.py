"""Hosts that cannot be deployed to, and odd ones that can: one clear error, and nothing changed, or it just works."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.host.conftest import Site, site
from tests.support import hosts

LISTING = "find /srv /etc /var/lib/carboy -printf '%p %T@ %m %u\\n' 2>/dev/null | sort"


def refusal(site: Site, *extra: str, expect: int = 4) -> dict[str, Any]:
    """Deploy with variables; it must end with one error, which is returned, and leave the host as it was."""
    before = site.shell(LISTING)
    outcome = site.invoke("deploy", *(word for pair in extra for word in ("-e", pair)), expect=expect)
    assert site.shell(LISTING) == before
    assert outcome.stderr == ""
    [error] = outcome.of("error")
    assert error["hint"]
    return error


@contextmanager
def put_aside(site: Site, path: str) -> Iterator[None]:
    """Have a file of the host away for the length of a block."""
    site.shell(f"cp -a {path} /var/aside")
    try:
        yield
    finally:
        site.shell(f"mv /var/aside {path}")


@contextmanager
def silent_port() -> Iterator[int]:
    """A port of this machine that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def test_refused_connection(fresh: Site) -> None:
    """Where nothing listens the error says so and names the host, its address and its port."""
    with silent_port() as port:
        pass
    error = refusal(fresh, f"ansible_port={port}")
    assert f"nothing listens on 127.0.0.1 port {port}: connection refused" in error["what"]
    assert f"box (deploy@127.0.0.1:{port})" in error["where"]


def test_unknown_name(fresh: Site) -> None:
    """A name that nobody knows is told from a host that does not answer."""
    assert "the name no-such.invalid is not known" in refusal(fresh, "ansible_host=no-such.invalid")["what"]


def test_silent_host(fresh: Site) -> None:
    """A host that takes the connection and never answers costs no more than `ansible_timeout`."""
    with silent_port() as port:
        began = time.monotonic()
        error = refusal(fresh, f"ansible_port={port}", "ansible_timeout=1")
    assert time.monotonic() - began < 5
    assert "no answer within 1 s" in error["what"]


def test_unknown_host_key(fresh: Site) -> None:
    """An unknown key is refused with the fingerprint that the console shows; `trust` pins just that one."""
    (fresh.folder / ".ssh/known_hosts").unlink()
    console = fresh.shell("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1]
    error = refusal(fresh)
    assert console in error["what"] and "invoke trust --host box" in error["hint"]
    assert console in fresh.invoke("trust", "--yes").stderr
    pinned = (fresh.folder / ".ssh/known_hosts").read_text().strip()
    assert pinned == f"[127.0.0.1]:{fresh.host.port} {fresh.host.host_key}"


def test_another_host_key(fresh: Site, tmp_path: Path) -> None:
    """A host that shows another key than the pinned one is refused, with what that may mean."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
    other = " ".join((tmp_path / "other.pub").read_text().split()[:2])
    (fresh.folder / ".ssh/known_hosts").write_text(f"[127.0.0.1]:{fresh.host.port} {other}\n")
    error = refusal(fresh)
    fresh.trust()
    assert "CHANGED" in error["what"] and "in between" in error["hint"]


def test_refused_key(fresh: Site, tmp_path: Path) -> None:
    """A key that the host does not know is refused in words that name the user."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    assert "refused deploy's key" in refusal(fresh, f"ansible_ssh_private_key_file={tmp_path / 'key'}")["what"]


def test_no_sudo(fresh: Site) -> None:
    """A host without the sudo program is told from one whose sudo says no."""
    with put_aside(fresh, "/usr/bin/sudo"):
        fresh.shell("rm /usr/bin/sudo")
        assert "has no sudo" in refusal(fresh)["what"]


def test_no_sudo_rights(fresh: Site) -> None:
    """A user who may not become root gets a hint that names the user, with or without a password."""
    with put_aside(fresh, "/etc/sudoers.d/90-deploy"):
        password = hosts.with_sudo_password(fresh.host)
        hosts.without_sudo_rights(fresh.host)
        assert "give deploy NOPASSWD" in refusal(fresh)["hint"]
        error = refusal(fresh, f"ansible_become_password={password}")
        assert "no root" in error["what"] and password not in str(error)


def test_sudo_password(fresh: Site) -> None:
    """A missing and a wrong password are refused with different words; the right one works, and is never shown."""
    with put_aside(fresh, "/etc/sudoers.d/90-deploy"):
        password = hosts.with_sudo_password(fresh.host)
        missing = refusal(fresh)
        assert "wants a password" in missing["what"] and "ansible_become_password" in missing["hint"]
        assert "refused the password" in refusal(fresh, "ansible_become_password=wrong")["what"]
        attempts = fresh.shell("journalctl -o cat -t sudo | grep -c 'incorrect password attempt'")
        assert int(attempts) == 1, "sudo waits two seconds after each"
        fresh.shell("echo 'exit 1' >/usr/bin/ends; chmod +x /usr/bin/ends; sed -i '1i #!/bin/sh' /usr/bin/ends")
        ended = refusal(fresh, f"ansible_become_password={password}", "ansible_python_interpreter=/usr/bin/ends")
        assert "did not start (exit 1)" in ended["what"], "that is not sudo's refusal"
        outcome = fresh.invoke("deploy", "-e", f"ansible_become_password={password}")
    assert password not in outcome.stdout + outcome.stderr
    assert fresh.serving()


@pytest.mark.parametrize("asks", [False, True])
def test_sudo_that_wants_a_terminal(fresh: Site, asks: bool) -> None:
    """requiretty in sudoers keeps nobody out: sudo gets a terminal, and the run its own stdin and stdout."""
    fresh.shell("echo 'Defaults requiretty' >/etc/sudoers.d/00-terminal")
    with put_aside(fresh, "/etc/sudoers.d/90-deploy"):
        password = hosts.with_sudo_password(fresh.host) if asks else ""
        fresh.invoke("status", *(("-e", f"ansible_become_password={password}") if asks else ()))
        if asks:
            error = refusal(fresh, "ansible_become_password=wrong")
            assert "refused the password" in error["what"]
    fresh.shell("rm /etc/sudoers.d/00-terminal")


@pytest.mark.parametrize("noise", ["echo 'Welcome! Disk 81% full.'", "printf 'no newline'", "head -c 200000 /dev/zero"])
def test_noisy_login_shell(fresh: Site, noise: str) -> None:
    """What a login shell prints first, whole lines or not, disturbs nothing and stays out of the events."""
    with put_aside(fresh, "/home/deploy/.bashrc"):
        fresh.shell(f'sed -i "1i {noise}" /home/deploy/.bashrc')
        outcome = fresh.invoke("deploy")
    assert outcome.of("end")[-1]["exit"] == 0
    assert outcome.stderr == ""


def test_talkative_shell_that_starts_nothing(fresh: Site) -> None:
    """An account whose shell refuses commands is shown with that shell's own words."""
    fresh.shell(
        "printf '#!/bin/sh\\necho This account is closed.\\nexit 1\\n' >/usr/bin/closed; chmod +x /usr/bin/closed"
    )
    fresh.shell("usermod --shell /usr/bin/closed deploy")
    error = refusal(fresh)
    fresh.shell("usermod --shell /bin/bash deploy")
    assert "This account is closed." in error["what"]


def test_no_python(tmp_path: Path) -> None:
    """A host without python3 gets it from apt, on the same connection; where apt cannot, the error says so."""
    with site(tmp_path) as made:
        hosts.without_python(made.host)
        with put_aside(made, "/etc/apt/sources.list"):
            made.shell(
                "echo 'deb http://127.0.0.1:9 bookworm main' >/etc/apt/sources.list; rm -rf /var/lib/apt/lists/*"
            )
            [error] = made.invoke("deploy", expect=1).of("error")
        assert "no python3 and apt could not install it" in error["what"]
        outcome = made.invoke("deploy")
        assert "installing it with apt" in outcome.of("progress")[0]["text"]
        assert made.serving()


def test_strict_umask(fresh: Site) -> None:
    """The umask of the user who logs in does not decide what the app may read."""
    fresh.shell('sed -i "1i umask 077" /home/deploy/.bashrc')
    fresh.variables = {"app_name": "strict", "app_listen": "127.0.0.1:8123"}
    fresh.invoke("deploy")
    fresh.shell("sed -i 1d /home/deploy/.bashrc")
