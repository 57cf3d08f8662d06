"""Folders seen from outside: everything that a program could have touched, to be compared before and after."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path
from typing import Any

ME = pwd.getpwuid(os.getuid()).pw_name
MY_GROUP = grp.getgrgid(os.getgid()).gr_name
OWNED: dict[str, Any] = {"owner": ME, "group": MY_GROUP}


def snapshot(folder: Path) -> dict[str, tuple[object, ...]]:
    """Each path below `folder` with its mode, owner, times and content; a mere touch shows in the times."""
    return {str(path.relative_to(folder)): _facts(path) for path in [folder, *sorted(folder.rglob("*"))]}


def fill(folder: Path, files: dict[str, str]) -> Path:
    """Write texts below a folder by their relative paths; returns the folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def _facts(path: Path) -> tuple[object, ...]:
    stat = path.lstat()
    known = (stat.st_mode, stat.st_uid, stat.st_gid, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
    if path.is_symlink():
        return (*known, str(path.readlink()))
    return (*known, path.read_bytes() if path.is_file() else b"")
