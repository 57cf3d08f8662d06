"""Packages resolved here for a host's Python and platform, and the tool that installs them there."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from carboy.applier.room import weight
from carboy.catalog import Bytes, Content
from carboy.errors import FailedError

OLDEST_GLIBC_MINOR = 5


def folder() -> Path:
    """Where wheels and installers are kept between runs: the user's cache, shared by all checkouts."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "carboy"


class Wheelhouse:
    """Answers a host's questions about packages; the bytes that an answer names can be had by digest afterwards."""

    def __init__(self, requirements: Callable[[str], str]) -> None:
        self.requirements = requirements
        self.blobs: dict[str, Bytes] = {}

    def installer(self, question: dict[str, Any]) -> list[dict[str, Any]]:
        """uv where this machine's own fits the host's platform, else pip as a wheel."""
        fits = question["machine"] == platform.machine() and question["libc"][:1] == list(platform.libc_ver()[:1])
        found = _uv() if fits else None
        return [self._offer("uv", found) if found else self._offer("pip.whl", _pip_wheel())]

    def wheels(self, question: dict[str, Any]) -> list[dict[str, Any]]:
        """The wheels of all requirements for the host's Python and platform, resolved once and kept."""
        text = self.requirements(question["requirements"])
        key = hashlib.sha256(json.dumps([text, question], sort_keys=True).encode()).hexdigest()[:16]
        house = folder() / "wheels" / key
        if not house.exists():
            _download(text, question, house)
        return [{**self._offer(path.name, path), "weight": _weight(path)} for path in sorted(house.glob("*.whl"))]

    def _offer(self, name: str, path: Path) -> dict[str, Any]:
        content = _content(path, path.stat().st_mtime_ns)
        self.blobs[content.sha256] = path
        return {"name": name, "sha256": content.sha256, "size": content.size}


@cache
def _content(path: Path, changed: int) -> Content:  # noqa: ARG001 - part of the cache's key
    return Content.of(path)


def _weight(wheel: Path) -> tuple[int, int]:
    """Bytes and inodes that a wheel takes once it is installed."""
    with zipfile.ZipFile(wheel) as packed:
        return weight((entry.filename, entry.file_size) for entry in packed.infolist() if not entry.is_dir())


def _uv() -> Path | None:
    try:
        import uv

        return Path(uv.find_uv_bin())
    except (ImportError, FileNotFoundError):
        return None


def _pip_wheel() -> Path:
    house = folder() / "pip"
    if not house.exists():
        _pip("--no-deps", requirements="pip", into=house, failure="pip's own wheel cannot be had")
    return next(house.glob("pip-*.whl"))


def _download(text: str, question: dict[str, Any], house: Path) -> None:
    platforms = [f"--platform={tag}" for tag in _platforms(question["machine"], *question["libc"])]
    python = [f"--python-version={question['python']}", "--implementation=cp"]
    failure = f"the requirements do not resolve for Python {question['python']} on {question['machine']}"
    _pip("--only-binary=:all:", *python, *platforms, requirements=text, into=house, failure=failure)


def _pip(*options: str, requirements: str, into: Path, failure: str) -> None:
    """Let pip download into a fresh folder, which appears as `into` only if pip succeeds."""
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent) as draft:
        file, target = Path(draft) / "requirements.txt", Path(draft) / "house"
        file.write_text(requirements)
        command = [sys.executable, "-m", "pip", "download", "--quiet", *options, "--dest", str(target), "-r", str(file)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            # The draft is gone when a person reads this.
            raise _unresolved(failure, done.stderr.replace(f"{draft}/", ""))
        if not into.exists():
            target.rename(into)


def _unresolved(failure: str, said: str) -> Exception:
    errors = re.findall(r"^ERROR: (?!ResolutionImpossible)(.+)$", said, re.MULTILINE) or said.strip().splitlines()[-1:]
    if re.search(r"NewConnectionError|ConnectTimeout|Name or service not known|SSLError", said):
        return FailedError(f"the package index cannot be reached: {errors[-1]}", hint="check this machine's network")
    # Not a DeclarationError: the host was asked for its Python before this could be known.
    return FailedError(
        f"{failure}: {errors[-1] if errors else 'pip gave no reason'}",
        where="app_requirements, app_requires",
        hint="correct the requirement; one without a wheel for the host needs app_packages_from: index",
    )


def _platforms(machine: str, libc: str = "", version: str = "") -> list[str]:
    """Tags of all wheels that a platform can run, newest first."""
    if libc != "glibc":
        return [f"musllinux_1_{minor}_{machine}" for minor in range(2, 0, -1)] + [f"linux_{machine}"]
    newest = int(version.split(".")[1])
    modern = [f"manylinux_2_{minor}_{machine}" for minor in range(newest, OLDEST_GLIBC_MINOR - 1, -1)]
    return [*modern, *(f"manylinux{legacy}_{machine}" for legacy in ("2014", "2010", "1")), f"linux_{machine}"]
