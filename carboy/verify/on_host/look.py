"""Questions that change nothing."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import struct
import sys
from pathlib import Path
from typing import Any

from carboy.verify.on_host import app


def answers(listen: str, path: str, count: str) -> list[dict[str, Any]]:
    """What the public address answers to so many requests, one after the other."""
    return [app.get(listen, path) for _ in range(int(count))]


def healthy_within(listen: str, path: str, seconds: str) -> bool:
    """Whether the public address answers well before the time is over."""
    return bool(app.until(lambda: app.healthy(listen, path), float(seconds)))


def processes(unit: str) -> list[dict[str, Any]]:
    """Every process in the unit's cgroup: what it runs, where, and from which files."""
    main = app.show(unit)["MainPID"]
    return [{"main": pid == main, **_process(pid)} for pid in app.pids(unit)]


def packages() -> dict[str, Any]:
    """The distributions that this Python sees, and the facts that markers of requirements ask for."""
    every = importlib.metadata.distributions()
    found = {each.metadata["Name"]: {"version": each.version, "requires": each.requires or []} for each in every}
    return {"distributions": found, "environment": _markers()}


def stale_bytecode(folder: str) -> list[str]:
    """Modules below a folder whose compiled form is missing or older, though they can be compiled."""
    return [str(path) for path in Path(folder).rglob("*.py") if not _compiled(path) and _compiles(path)]


def changed_files(release: str) -> list[str]:
    """Files of a release's tree that are not what its manifest says."""
    tree = Path(release, "tree")
    wanted = {path: digest for path, _, digest, *_ in json.loads(Path(release, "manifest.json").read_text())}
    files = (path for path in tree.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    found = {str(path.relative_to(tree)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    return sorted(path for path in {*wanted, *found} if wanted.get(path) != found.get(path))


def _process(pid: str) -> dict[str, Any]:
    folder = Path("/proc", pid)
    variables = dict(item.partition("=")[::2] for item in (folder / "environ").read_text().split("\0"))
    mapped = {line.split(None, 5)[-1] for line in (folder / "maps").read_text().splitlines()}
    return {
        "pid": int(pid),
        "cwd": str((folder / "cwd").readlink()),
        "argv": (folder / "cmdline").read_text().split("\0")[:-1],
        "release": variables.get("CARBOY_RELEASE"),
        "files": sorted(file for file in mapped if "/site-packages/" in file),
        "open": sorted({str(each.readlink()) for each in (folder / "fd").iterdir()}),
    }


def _markers() -> dict[str, str]:
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": platform.python_version(),
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": platform.python_version(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
    }


def _compiled(path: Path) -> bool:
    """Whether Python would use the compiled form as it is: its header holds the source's time and size, or its hash."""
    compiled = Path(importlib.util.cache_from_source(str(path)))
    if not compiled.exists():
        return False
    with compiled.open("rb") as file:
        _, flags, *stamp = struct.unpack("<4I", file.read(16))
    stat = path.stat()
    return bool(flags) or stamp == [int(stat.st_mtime) & 0xFFFFFFFF, stat.st_size & 0xFFFFFFFF]


def _compiles(path: Path) -> bool:
    try:
        compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True
