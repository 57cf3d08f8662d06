"""How the engine is chosen and called, and what is said where no host can be had."""

from __future__ import annotations

import os
import platform
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from carboy.sandbox import SandboxError, engine, image
from carboy.sandbox.engine import Engine


def script(folder: Path, name: str, body: str) -> None:
    """Put a program of that name into a folder."""
    (folder / name).write_text(f"#!/bin/sh\n{body}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_an_engine_that_does_not_answer_is_passed_over(programs: Path) -> None:
    """A podman that is installed and broken leaves the choice to a docker that works."""
    script(programs, "podman", "echo no runtime >&2; exit 1")
    script(programs, "docker", "exit 0")
    assert engine.find.__wrapped__().name == "docker"


@pytest.mark.usefixtures("programs")
def test_no_engine_is_one_sentence(programs: Path) -> None:
    """The error says of each engine why it is out, and what to do."""
    script(programs, "docker", "echo Cannot connect to the daemon >&2; exit 1")
    with pytest.raises(SandboxError) as caught:
        engine.find.__wrapped__()
    assert caught.value.what == (
        "no container engine works here: podman is not installed; docker says: Cannot connect to the daemon"
    )
    assert caught.value.hint and caught.value.exit_code == 1


def test_no_way_to_build_the_image_is_one_sentence(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without packages and without a registry the error names both reasons, and nothing is left in the cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(programs / "cache"))
    script(programs, "docker", 'echo "cannot pull debian:12" >&2; exit 1')
    with pytest.raises(SandboxError) as caught:
        image.ensure(Engine("docker", cgroup_v2=True), print)
    assert "mmdebstrap" in caught.value.what and "cannot pull debian:12" in caught.value.what
    assert not list(programs.glob("cache/carboy/*"))


def test_a_build_that_fails_halfway_is_not_cached(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A root filesystem is in the cache whole, or not at all."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(programs / "cache"))
    script(programs, "apt-get", "echo http://mirror.example/debian")
    script(programs, "zstd", "exit 0")
    script(
        programs, "mmdebstrap", 'for a; do case $a in *.tar.zst) echo half >"$a";; esac; done; echo E: gone >&2; exit 1'
    )
    script(programs, "docker", "exit 1")
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: {"ID": "debian", "VERSION_CODENAME": "trixie"})
    with pytest.raises(SandboxError, match="mmdebstrap failed: E: gone"):
        image.ensure(Engine("docker", cgroup_v2=True), print)
    assert not list(programs.glob("cache/carboy/*"))


def test_a_damaged_cache_is_not_imported(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cached root filesystem that was cut off is as good as none: the image is built anew."""
    (programs / "zstd").symlink_to("/usr/bin/zstd")
    script(programs, "docker", f'echo "$*" >>{programs}/calls; [ "$1" = build ]')
    monkeypatch.setenv("XDG_CACHE_HOME", str(programs / "cache"))
    image.cached().parent.mkdir(parents=True)
    image.cached().write_bytes(b"\x28\xb5\x2f\xfd")
    image.ensure(Engine("docker", cgroup_v2=True), print)
    calls = [line.split()[0] for line in (programs / "calls").read_text().splitlines()]
    assert calls == ["image", "build"]


def test_an_image_is_made_once(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several that need an image at the same moment one makes it, and the others find it made."""
    steps = f"image) [ -e {programs}/made ];; build) /bin/sleep 0.2; : >{programs}/made"
    script(programs, "docker", f'echo "$1" >>{programs}/calls; case $1 in {steps};; esac')
    monkeypatch.setenv("XDG_CACHE_HOME", str(programs / "cache"))
    with ThreadPoolExecutor(4) as pool:
        pool.map(lambda _: image.ensure(Engine("docker", cgroup_v2=True), print), range(4))
    calls = (programs / "calls").read_text().split()
    assert (calls.count("image"), calls.count("build")) == (4, 1)


def test_the_image_is_known_by_what_it_is_made_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another package makes another image."""
    before = image.digest()
    for source in image.sources().values():
        (tmp_path / source.name).write_bytes(source.read_bytes())
    monkeypatch.setattr(image, "SOURCES", tmp_path)
    assert image.digest() == before
    with (tmp_path / "packages.txt").open("a") as packages:
        packages.write("less\n")
    assert image.digest() != before


def test_no_limit_is_asked_for_that_may_not_be_granted() -> None:
    """Limits of the host stay within those of the calling process."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    (flag,) = [flag for flag in Engine("podman", cgroup_v2=False).boot_flags() if "nofile" in flag]
    assert int(flag.rpartition(":")[2]) <= (engine.MOST if hard == resource.RLIM_INFINITY else hard)


@pytest.mark.parametrize(
    ("name", "cgroup_v2", "expected", "unwanted"),
    [
        ("podman", False, {"--runtime=runc", "--cgroupns=private", "--privileged"}, set()),
        ("podman", True, {"--systemd=always", "--cgroupns=private"}, {"--runtime=runc"}),
        ("docker", False, {"--cap-add=SYS_ADMIN", "--tmpfs=/run"}, {"--privileged", "--cgroupns=private"}),
        ("docker", True, {"--cgroupns=private", "--tmpfs=/run"}, {"--systemd=always"}),
    ],
)
def test_flags_fit_the_engine_and_the_cgroups(
    name: str, cgroup_v2: bool, expected: set[str], unwanted: set[str]
) -> None:
    """Each engine is called as it boots systemd on this machine's cgroups."""
    flags = set(Engine(name, cgroup_v2).boot_flags())
    assert expected <= flags and not unwanted & flags


def test_podman_without_root_is_passed_over_on_cgroup_v1(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where systemd cannot boot rootless, the error says so before anything is tried."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(engine, "CGROUP_V2", programs / "none")
    script(programs, "podman", "exit 0")
    with pytest.raises(SandboxError, match="podman needs root"):
        engine.find.__wrapped__()
