"""The sandbox on the engine of this machine: real containers, real sshd."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from stat import S_IMODE

import pytest

from carboy import sandbox
from carboy.sandbox import ContainerHost, HostOptions, SandboxError, files
from tests.support import hosts


def ssh(
    state: Path, *command: str, name: str = "h3", options: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Call plain ssh with the written configuration and never a prompt."""
    call = ["ssh", "-F", str(state / "ssh_config"), "-o", "BatchMode=yes", *options, name, *command]
    return subprocess.run(call, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state folder as of another checkout, with a space in its path; all its containers are removed."""
    hosts.require_hosts()
    state = tmp_path_factory.mktemp("a checkout") / ".carboy"
    yield state
    sandbox.clean(state=state)


@pytest.fixture(scope="module")
def up(state: Path) -> ContainerHost:
    """A sandbox that runs."""
    return sandbox.up("h3", progress=print, state=state)


def test_up_of_a_running_sandbox_changes_nothing(state: Path, up: ContainerHost) -> None:
    """A second `up` returns the same host, without a reboot and without a word."""
    said: list[str] = []
    up.container.exec("touch", "/run/this-boot")
    assert sandbox.up("h3", progress=said.append, state=state) == up
    assert not said
    up.container.exec("test", "-e", "/run/this-boot")


def test_the_short_way_in_is_no_other_way(up: ContainerHost) -> None:
    """Told the container's id, a command runs with the rights, limits and words that it has by the container's name."""
    by_name = replace(up.container, id="")
    question = "cat /proc/self/limits /proc/self/cgroup; grep Cap /proc/self/status; env -u container_uuid; pwd; id"
    assert up.container.id
    assert up.container.shell(question).split("\n") == by_name.shell(question).split("\n")
    for each in (up.container, by_name):
        with pytest.raises(SandboxError) as failed:
            each.shell("echo no such luck >&2; exit 3")
        assert failed.value.what.endswith(" exec failed: no such luck")


def test_plain_ssh_works_with_strict_host_key_checking(state: Path, up: ContainerHost) -> None:
    """`ssh -F` with the written files logs in as a user that may become root without a password."""
    done = ssh(state, "sudo -n id -un; systemctl is-system-running; ps -o comm= 1; python3 -c 'print(3)'")
    assert done.stdout.split() == ["root", "running", "systemd", "3"], done.stderr
    assert up.user == "deploy"


def test_a_host_with_another_key_is_refused(state: Path, up: ContainerHost, tmp_path: Path) -> None:
    """The pin decides, not what the network says."""
    other = files.public_key(files.key_pair(tmp_path)).rsplit(" ", 1)[0]
    pins = tmp_path / "known_hosts"
    pins.write_text(f"[{up.address}]:{up.port} {other}\n")
    done = ssh(state, "true", options=("-o", f"UserKnownHostsFile={pins}"))
    assert done.returncode == 255 and "Host key verification failed" in done.stderr


@pytest.mark.parametrize("options", [("-l", "root"), ("-o", "PubkeyAuthentication=no")])
def test_only_the_user_with_the_key_gets_in(state: Path, up: ContainerHost, options: tuple[str, ...]) -> None:
    """Root may not log in even with the key, and without it nobody may: no password is asked for."""
    up.container.shell("install -D -m 0600 /home/deploy/.ssh/authorized_keys /root/.ssh/authorized_keys")
    done = ssh(state, "true", options=options)
    assert done.returncode == 255 and "Permission denied (publickey)" in done.stderr


def test_what_is_written_is_readable_by_its_owner_alone(state: Path, up: ContainerHost) -> None:
    """All files have mode 0600 and all folders 0700; the public key alone may be read."""
    modes = {str(path.relative_to(state)): oct(S_IMODE(path.stat().st_mode)) for path in [state, *state.rglob("*")]}
    assert modes == {
        ".": "0o700",
        "id_ed25519": "0o600",
        "id_ed25519.pub": "0o644",
        "known_hosts": "0o600",
        "ssh_config": "0o600",
        "inventory": "0o700",
        "inventory/hosts.yml": "0o600",
    }
    assert files.hosts(state)["h3"]["sandbox_url"] == up.url


def test_limits_of_units_hold(up: ContainerHost) -> None:
    """A unit that takes more than its MemoryMax is killed, as on a real machine."""
    limited = "systemd-run --quiet --wait -p MemoryMax={} python3 -c 'bytearray(100 << 20)'"
    up.container.shell(limited.format("400M"))
    with pytest.raises(SandboxError):
        up.container.shell(limited.format("20M -p MemorySwapMax=0"))


def test_hosts_do_not_share_cgroups(up: ContainerHost) -> None:
    """No unit lives outside the host's own cgroup namespace, where its namesake on another host would be."""
    places = up.container.exec("cat", "/proc/1/cgroup")
    assert "/init.scope" in places and ".." not in places


def test_a_reboot_comes_back_the_same(state: Path, up: ContainerHost) -> None:
    """After a reboot the disk, the ports and the host key are the same, and /run is new."""
    up.container.shell("touch /run/this-boot /var/on-disk")
    assert up.reboot() == up
    assert ssh(state, "ls /run/this-boot /var/on-disk").stdout == "/var/on-disk\n"


def test_up_starts_a_stopped_sandbox_again(state: Path, up: ContainerHost) -> None:
    """A sandbox that was stopped, as by a reboot of this machine, comes back with its files; a lost key is replaced."""
    up.container.exec("touch", "/var/on-disk")
    up.container.engine.run("stop", up.container.name)
    (state / "id_ed25519").unlink()
    (state / "id_ed25519.pub").unlink()
    assert sandbox.up("h3", progress=print, state=state).host_key == up.host_key
    assert ssh(state, "ls /var/on-disk").stdout == "/var/on-disk\n"


def test_down_removes_the_sandbox_and_says_if_there_was_one(tmp_path: Path) -> None:
    """The second `down` finds nothing, and no file speaks of the host any more."""
    hosts.require_hosts()
    sandbox.up("h3", progress=print, state=tmp_path)
    assert [sandbox.down("h3", state=tmp_path), sandbox.down("h3", state=tmp_path)] == [True, False]
    assert files.hosts(tmp_path) == {}
    assert (tmp_path / "known_hosts").read_text() == (tmp_path / "ssh_config").read_text() == ""


def test_clean_removes_the_leftovers_of_this_checkout_alone(tmp_path: Path, up: ContainerHost) -> None:
    """Containers and snapshots of a run that was killed go; those of another checkout stay."""
    left = sandbox.create("h3-left", HostOptions(), state=tmp_path, progress=print)
    snapshot = left.container.snapshot("h3-left")
    assert sandbox.clean(state=tmp_path) == [left.container.name]
    assert not left.container.status()
    assert not left.container.engine.succeeds("image", "inspect", snapshot)
    assert up.container.status() == "running"


def test_a_snapshot_starts_another_host(tmp_path: Path, up: ContainerHost) -> None:
    """What was on the host is on the one started from its snapshot."""
    up.container.exec("touch", "/var/in-snapshot")
    image = up.container.snapshot("h3")
    with hosts.container_host(HostOptions(image=image), state=tmp_path) as copy:
        copy.container.exec("test", "-e", "/var/in-snapshot")
