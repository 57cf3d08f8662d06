"""The odd hosts that tests ask for are as odd as they say, as seen over SSH."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from carboy.sandbox import ContainerHost, HostOptions, SandboxError, files
from tests.support import hosts


def over_ssh(host: ContainerHost, state: Path, command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command on a host over SSH."""
    files.remember(host, state)
    call = ["ssh", "-F", str(state / "ssh_config"), host.name, command]
    return subprocess.run(call, input=stdin, capture_output=True, text=True, check=False)


def test_a_host_whose_sudo_wants_a_password(tmp_path: Path) -> None:
    """Without the password sudo refuses, with it on stdin it works; without rights, or without sudo, nothing does."""
    with hosts.container_host(state=tmp_path) as host:
        password = hosts.with_sudo_password(host)
        assert over_ssh(host, tmp_path, "sudo -n true").returncode == 1
        assert over_ssh(host, tmp_path, "sudo -S -p '' id -un", f"{password}\n").stdout == "root\n"
        hosts.without_sudo_rights(host)
        assert over_ssh(host, tmp_path, "sudo -S -p '' true", f"{password}\n").returncode == 1
        hosts.without_sudo(host)
        assert over_ssh(host, tmp_path, "sudo -n true").returncode == 127


def test_a_small_noisy_host_without_python(tmp_path: Path) -> None:
    """Python is gone, the shell talks first, and /srv is full after 8 MB."""
    with hosts.container_host(hosts.small_filesystem(8), state=tmp_path) as host:
        hosts.without_python(host)
        assert over_ssh(host, tmp_path, "python3").returncode == 127
        hosts.with_noisy_shell(host, "Hello!")
        assert over_ssh(host, tmp_path, "echo mine").stdout == "Hello!\nmine\n"
        full = over_ssh(host, tmp_path, "sudo head -c 9M /dev/zero | sudo tee /srv/file >/dev/null")
        assert "No space left on device" in full.stderr


def test_a_host_without_systemd(tmp_path: Path) -> None:
    """It is cron and sshd alone, also after a reboot, and its root may not look into the processes of others."""
    with hosts.container_host(HostOptions(variant="cron"), state=tmp_path) as host:
        for booted in (host, host.reboot()):
            done = over_ssh(
                booted, tmp_path, "ps -o comm= 1; pgrep -x cron >/dev/null && echo cron; command -v systemctl"
            )
            assert done.stdout.split() == ["tini", "cron"]
        asleep = "sudo setpriv --reuid 65534 --regid 65534 --clear-groups sleep 60 >/dev/null 2>&1 & sleep 0.5; "
        look = "sudo cat /proc/$(pgrep -u 65534)/environ"
        assert "Permission denied" in over_ssh(host, tmp_path, asleep + look).stderr


def test_a_machine_without_hosts_skips_unless_hosts_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    """A laptop without an engine skips these tests with the reason; `make test` fails them instead."""

    def build(**_: object) -> str:
        raise SandboxError("no container engine works here")

    monkeypatch.setattr(hosts, "build", build)
    monkeypatch.delenv("CARBOY_REQUIRE_HOSTS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no container engine"):
        hosts.require_hosts()
    monkeypatch.setenv("CARBOY_REQUIRE_HOSTS", "1")
    with pytest.raises(pytest.fail.Exception, match="no container engine"):
        hosts.require_hosts()
