"""Which releases, venvs and shipped bytes may go."""

from __future__ import annotations

import json
import os
from pathlib import Path

from carboy.applier.host import Host, remove
from carboy.applier.store import COMPLETE as RELEASE_COMPLETE
from carboy.applier.store import Store
from carboy.applier.venv import COMPLETE as VENV_COMPLETE


def prune(store: Store, running: str, keep: int) -> str:
    """Keep the running release and the last `keep` healthy ones, and the venvs that they use; says what went."""
    kept = {running, *store.healthy()[-keep:]}
    gone = [path for path in (store.home / "releases").glob("*") if path.name not in kept]
    used = {os.readlink(store.path(name) / "venv").rpartition("/")[2] for name in kept}
    gone += [path for path in (store.home / "venvs").glob("*") if path.name not in used]
    freed = sum(_size(path) for path in gone)
    for path in gone:
        # The mark goes first: what is half removed must not look complete.
        for mark in (RELEASE_COMPLETE, VENV_COMPLETE):
            remove(path / mark)
        remove(path)
    return "%.1f MB of old releases and venvs" % (freed / 1e6) if gone else ""


def forget(host: Host, app: str) -> None:
    """Drop what was shipped for an app, except what its venvs were made of, which would be asked for again."""
    marks = (Store(host, app).home / "venvs").glob("*/" + VENV_COMPLETE)
    kept = {digest for mark in marks for digest in json.loads(mark.read_text())["blobs"]}
    for path in host.blobs.glob("*"):
        if path.name not in kept:
            remove(path)


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
