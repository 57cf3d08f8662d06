"""The packages of a virtual environment: what it takes to have them, what they weigh, and how they are installed."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List

from carboy.applier.host import MORTAL, Host, anew, link, remove, write
from carboy.applier.package import Package
from carboy.applier.resource import Failure, Need, Weight
from carboy.applier.venv import COMPLETE, Venv


def lacks(venv: Venv, host: Host) -> Iterator[Need]:
    """An installer; then the wheels by name, and each wheel; or the requirements for the host's own index."""
    questions = [_installer()]
    questions.append(_wheels(venv, host) if venv.packages == "wheelhouse" else venv.requirements.need)
    for need in questions:
        if not host.has(need):
            yield need
    for part in _parts(venv, host):
        need = {"blob": part["sha256"], "size": part["size"]}
        if not host.has(need):
            yield need


def weighs(venv: Venv, host: Host) -> Iterator[Weight]:
    """All wheels unpacked, as soon as the controller has named them; what an index will give nobody knows."""
    weights = [part["weight"] for part in _parts(venv, host) if "weight" in part]
    if weights:
        size, inodes = map(sum, zip(*weights))  # noqa: B905 - not in Python 3.9
        # What the installer keeps until it is done: folders of its own, with second names of the files.
        yield host.at(venv.root), size + size // 16, inodes + inodes // 6


def build(venv: Venv, host: Host) -> None:
    """Build it in place, and mark it complete last."""
    if sys.version_info < (3, 10) and importlib.util.find_spec("distutils.dist") is None:
        # Debian 11 packs it apart, and neither uv nor pip can install for such a Python without it.
        Package(("python3-distutils",)).repair(host, {"python3-distutils": (False, True)})
    path = host.at(venv.path(host))
    host.say("building the venv %s" % path.name)
    with anew(path):
        host.run(venv.interpreter(), "-m", "venv", "--without-pip", str(path))
        _install(venv, host, path)
    record = {"python": venv.version(host), "blobs": [part["sha256"] for part in _parts(venv, host)]}
    os.sync()
    write(path / COMPLETE, json.dumps(record).encode())


def _installer() -> Need:
    return {"installer": {"machine": platform.machine(), "libc": list(platform.libc_ver())}}


def _wheels(venv: Venv, host: Host) -> Need:
    return {
        "wheels": {
            "requirements": venv.requirements.sha256,
            "python": venv.version(host),
            "machine": platform.machine(),
            "libc": list(platform.libc_ver()),
        }
    }


def _parts(venv: Venv, host: Host) -> List[Dict[str, Any]]:
    """The named blobs that have been answered so far: the installer, and in a wheelhouse the wheels."""
    needs = [_installer()] + ([_wheels(venv, host)] if venv.packages == "wheelhouse" else [])
    return [part for need in needs if host.has(need) for part in host.answer(need)]  # type: ignore[attr-defined]


def _install(venv: Venv, host: Host, path: Path) -> None:
    staging = path / "wheels"
    staging.mkdir()
    for part in _parts(venv, host):
        link(staging / part["name"], str(host.blob({"blob": part["sha256"]})))
    tool, *wheels = [str(staging / part["name"]) for part in _parts(venv, host)]
    if venv.packages == "wheelhouse":
        what = ["--no-index", "--no-deps", *wheels]
    else:
        what = ["-r", str(host.blob(venv.requirements.need))]
    command, env = _uv(tool, path) if os.path.basename(tool) == "uv" else _pip(tool, path)
    done = host.call(*MORTAL, *command, *what, env=env)
    if done.returncode:
        # Not as `run` puts it: the venv goes, and with it what one would run by hand.
        raise Failure(
            "the packages cannot be installed",
            details="\n".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-25:]),
            hint="correct the requirements, or see that the host has the room and reaches its index",
        )
    remove(staging)
    # uv leaves its lock behind, and everybody may write to it.
    remove(path / ".lock")


def _uv(tool: str, path: Path) -> tuple[list[str], dict[str, str]]:
    os.chmod(os.path.realpath(tool), 0o700)
    python = str(path / "bin/python")
    # Not in /tmp: from a folder of the same file system a file only gets a second name, and takes its room once.
    where = ["--cache-dir", os.path.join(os.path.dirname(tool), "cache"), "--link-mode", "hardlink"]
    command = [tool, "pip", "install", "--quiet", "--compile-bytecode", *where, "--python", python]
    return command, _index_of_host()


def _pip(tool: str, path: Path) -> tuple[list[str], dict[str, str]]:
    python = str(path / "bin/python")
    return [python, os.path.join(tool, "pip"), "install", "--quiet", "--no-cache-dir", "--compile"], {}


def _index_of_host() -> dict[str, str]:
    """The host's own package index as pip is configured to use it; uv does not read pip's files."""
    import configparser  # here, because most runs install nothing

    config = configparser.RawConfigParser()
    config.read("/etc/pip.conf")
    settings = dict(config["global"]) if config.has_section("global") else {}
    names = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "cert": "SSL_CERT_FILE"}
    return {names[key]: value for key, value in settings.items() if key in names}
