"""What the sandbox writes into `.carboy/`, without a container."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from carboy.sandbox import ContainerHost, SandboxError, files
from carboy.sandbox.container import Container
from carboy.sandbox.engine import Engine

ROOT = Path(__file__).parents[2]


def host(name: str, port: int, host_key: str = "ssh-ed25519 AAAA", http_port: int | None = None) -> ContainerHost:
    """A host that needs no container."""
    container = Container(Engine("podman", cgroup_v2=True), f"carboy-{name}")
    return ContainerHost(name, container, Path("/keys/id_ed25519"), port, host_key, http_port)


def test_a_host_that_comes_back_elsewhere_leaves_no_trace(tmp_path: Path) -> None:
    """Its old port and its old pin are gone: a later host on that port must not look like an attack."""
    files.remember(host("a", 2201, "ssh-ed25519 OLD"), tmp_path)
    files.remember(host("a", 2202, "ssh-ed25519 NEW", http_port=8000), tmp_path)
    assert (tmp_path / "known_hosts").read_text() == "[127.0.0.1]:2202 ssh-ed25519 NEW\n"
    assert "2201" not in (tmp_path / "ssh_config").read_text()
    assert files.hosts(tmp_path)["a"] == {
        "ansible_host": "127.0.0.1",
        "ansible_port": 2202,
        "ansible_user": "deploy",
        "ansible_ssh_private_key_file": "/keys/id_ed25519",
        "sandbox_url": "http://127.0.0.1:8000/",
        "carboy_reboot_command": "podman restart carboy-a",
    }


def test_hosts_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Each is remembered and forgotten alone."""
    for number in (1, 2, 3):
        files.remember(host(f"h{number}", 2200 + number, f"ssh-ed25519 K{number}"), tmp_path)
    files.forget("h2", tmp_path)
    assert list(files.hosts(tmp_path)) == ["h1", "h3"]
    pins = (tmp_path / "known_hosts").read_text().splitlines()
    assert pins == ["[127.0.0.1]:2201 ssh-ed25519 K1", "[127.0.0.1]:2203 ssh-ed25519 K3"]


def test_the_key_pair_is_made_once(tmp_path: Path) -> None:
    """The second call returns the same key."""
    first = files.public_key(files.key_pair(tmp_path / ".carboy"))
    assert files.public_key(files.key_pair(tmp_path / ".carboy")) == first


def test_a_machine_without_ssh_keygen_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the package to install."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SandboxError) as caught:
        files.key_pair(tmp_path / ".carboy")
    assert caught.value.hint == "install openssh-client"


def test_several_want_the_key_at_once(tmp_path: Path) -> None:
    """Whoever comes first makes the pair; all others get that one, whole."""
    code = "import sys, pathlib; from carboy.sandbox import files; path = pathlib.Path(sys.argv[1])"
    code += "; print(files.public_key(files.key_pair(path)))"
    command = [sys.executable, "-c", code, str(tmp_path / "s")]
    at_once = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    said = {process.communicate()[0].strip() for process in at_once}
    assert len(said) == 1 and said.pop().startswith("ssh-ed25519 ")
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["id_ed25519", "id_ed25519.pub"]
