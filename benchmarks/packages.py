"""What is at hand before anybody's clock starts: wheels, uv to install them, and pyinfra itself."""

from __future__ import annotations

import hashlib
import platform
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from carboy.project import ROOT, STATE
from carboy.wheelhouse import Wheelhouse

PYINFRA = STATE / "bench-venv"
REQUIREMENTS = ROOT / "benchmarks/pyinfra/requirements.txt"
LIBC = ["glibc", "2.36"]
"""Of Debian 12, as which the hosts are made."""
PYTHON = "3.11"


@dataclass(frozen=True)
class Packages:
    """One tar file with the wheels of the app and uv; the digest names the requirements."""

    path: Path
    digest: str


def pack(folder: Path) -> Packages:
    """Have the wheels of the app, and uv, as one file for those who bring no wheelhouse of their own."""
    text = (ROOT / "app/requirements.txt").read_text()
    house = Wheelhouse(lambda _: text)
    machine = {"machine": platform.machine(), "libc": LIBC}
    parts = [*house.installer(machine), *house.wheels({"requirements": "", "python": PYTHON, **machine})]
    path = folder / "wheels.tar"
    with tarfile.open(path, "w") as packed:
        for part in parts:
            packed.add(str(house.blobs[part["sha256"]]), part["name"])
    return Packages(path, hashlib.sha256(text.encode()).hexdigest()[:12])


def have_pyinfra() -> None:
    """Have pyinfra in a venv of its own: it wants another paramiko than Carboy."""
    stamp = PYINFRA / f"complete-{hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]}"
    if stamp.exists():
        return
    print("installing pyinfra into a venv of its own", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--clear", PYINFRA], check=True)
    install = ["-m", "pip", "install", "-qq", "--disable-pip-version-check", "-r", str(REQUIREMENTS)]
    subprocess.run([PYINFRA / "bin/python", *install], check=True)
    stamp.touch()
