"""`scripts/setup.sh` where something cannot be had: it says what it is about to do, and ends in one clear sentence."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("sh", "dirname", "tr", "grep", "mktemp", "rm", "tail", "env", "cat", "cksum", "cut", "sed", "touch")
BARE_PYTHON = 'case "$2" in *ensurepip*) exit 1;; *-venv*) echo python3.12-venv;; esac'


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine with the basic tools and a Python that cannot make virtual environments; its bin/ is all of PATH."""
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or pytest.fail(f"{tool} is missing"))
    program(tmp_path, "python3", BARE_PYTHON)
    program(tmp_path, "ssh", "exit 0")
    program(tmp_path, "ssh-keygen", "exit 0")
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "setup.sh", tmp_path / "scripts")
    return tmp_path


def program(machine: Path, name: str, body: str) -> None:
    """Install a program on the machine."""
    path = machine / "bin" / name
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def set_up(machine: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the script there."""
    call = ["/bin/sh", str(machine / "scripts" / "setup.sh"), *options]
    return subprocess.run(call, env={"PATH": str(machine / "bin")}, capture_output=True, text=True, check=False)


def test_no_python_that_is_new_enough(machine: Path) -> None:
    """An old Python is named as the reason, and nothing is installed."""
    program(machine, "python3", "exit 1")
    done = set_up(machine)
    assert done.returncode == 1 and not done.stdout
    assert done.stderr.startswith("set-up: Python 3.11 or newer is needed") and done.stderr.count("\n") == 1


def test_neither_root_nor_sudo(machine: Path) -> None:
    """The sentence names what is missing."""
    program(machine, "apt-get", "exit 0")
    program(machine, "id", "echo 1000")
    done = set_up(machine)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "set-up: python3.12-venv must be installed, which needs root or sudo.\n"


def test_a_machine_without_apt(machine: Path) -> None:
    """The sentence says what to install by other means."""
    done = set_up(machine)
    assert done.stderr == "set-up: python3.12-venv must be installed first: there is no apt-get here to do it with.\n"


def test_packages_are_announced_and_a_failure_is_explained(machine: Path) -> None:
    """One line lists all packages before apt runs; when apt fails its last words come before the sentence."""
    program(machine, "apt-get", "echo 'E: Temporary failure resolving'; exit 100")
    program(machine, "id", "echo 0")
    done = set_up(machine, "--hosts")
    assert done.returncode == 1
    assert done.stdout.count("\n") == 1 and done.stdout.startswith(
        "set-up: installing with apt: python3.12-venv podman"
    )
    assert done.stderr == "E: Temporary failure resolving\nset-up: apt-get update failed, for the reason above.\n"


def test_apt_waits_for_the_lock_and_asks_nothing(machine: Path) -> None:
    """Every call of apt-get waits for dpkg's lock, and none may prompt."""
    program(machine, "apt-get", f'echo "$DEBIAN_FRONTEND $*" >>{machine}/calls; [ "$6" != install ]')
    program(machine, "id", "echo 0")
    set_up(machine)
    calls = (machine / "calls").read_text().splitlines()
    assert len(calls) == 2
    assert all("noninteractive" in call and "DPkg::Lock::Timeout=120" in call and " -y " in call for call in calls)
