"""Which releases, venvs and shipped bytes may go."""

from __future__ import annotations

import json
import os
import stat
from collections import Counter
from pathlib import Path
from typing import Iterable, Iterator, List, Tuple

from carboy.applier.host import Host, remove
from carboy.applier.store import COMPLETE as RELEASE_COMPLETE
from carboy.applier.store import Store
from carboy.applier.venv import COMPLETE as VENV_COMPLETE

MARKS = (RELEASE_COMPLETE, VENV_COMPLETE)
# The running release and the healthy one before it, to which a rollback goes.
FEWEST = 2
# What st_blocks counts in, whatever the file system's own blocks are.
BLOCK = 512


def prune(store: Store, running: str, keep: int) -> str:
    """Keep the running release and the last `keep` healthy ones, and the venvs that they use; says what went."""
    gone = spare(store, [running], keep)
    size, inodes = amount(gone)
    stuck = _take(gone)
    venvs = sum(path.parent.name == "venvs" for path in gone)
    what = _many(len(gone) - venvs, "release"), _many(venvs, "venv")
    said = "%s and %s: %.1f MB, %d inodes" % (*what, size / 1e6, inodes)
    return "; ".join([said, *stuck]) if gone else ""


def spare(store: Store, running: Iterable[str], keep: int) -> List[Path]:
    """What may go: releases that neither run nor are among the last healthy ones, and venvs that no other one uses."""
    kept = {*running, *store.healthy()[-max(keep, FEWEST) :]}
    used = {venv for name in kept for venv in _venvs(store, name)}
    releases = [path for path in (store.home / "releases").glob("*") if path.name not in kept]
    return releases + [path for path in (store.home / "venvs").glob("*") if path.name not in used]


def sweep(store: Store, running: Iterable[str]) -> bool:
    """Remove what a killed run left half built, half removed or half received; returns whether there was any."""
    half = [path for path in spare(store, [*running, *store.all()], FEWEST) if not _complete(path)]
    half += store.host.blobs.glob("*.part")
    _take(half)
    return bool(half)


def forget(host: Host, app: str) -> None:
    """Drop what was shipped for an app, except what its venvs were made of, which would be asked for again."""
    try:
        marks = (Store(host, app).home / "venvs").glob("*/" + VENV_COMPLETE)
        kept = {digest for mark in marks for digest in json.loads(mark.read_text())["blobs"]}
        for path in host.blobs.glob("*"):
            if path.name not in kept:
                remove(path)
    except (OSError, ValueError, KeyError) as problem:
        # Whatever the outcome of the run, it does not depend on this.
        host.say("what was shipped could not be tidied away: %r" % problem)


def amount(paths: Iterable[Path]) -> Tuple[int, int]:
    """Bytes and inodes that would be free without these; a file that has a name elsewhere too would stay."""
    found = [entry.lstat() for path in paths for entry in (path, *path.rglob("*"))]
    names = Counter((each.st_dev, each.st_ino) for each in found)
    inodes = {(each.st_dev, each.st_ino): each for each in found}
    freed = [each for key, each in inodes.items() if stat.S_ISDIR(each.st_mode) or names[key] == each.st_nlink]
    return sum(each.st_blocks for each in freed) * BLOCK, len(freed)


def _take(paths: Iterable[Path]) -> List[str]:
    """Remove these, and say what could not be removed: that must not make a failure of a switch that went well."""
    stuck = []
    for path in paths:
        try:
            # The mark goes first: what is half removed must not look complete.
            for mark in MARKS:
                remove(path / mark)
            remove(path)
        except OSError as problem:
            stuck.append("not removed: %s" % problem)
    return stuck


def _many(count: int, what: str) -> str:
    return "%d %s%s" % (count, what, "" if count == 1 else "s")


def _complete(path: Path) -> bool:
    return any((path / mark).exists() for mark in MARKS)


def _venvs(store: Store, release: str) -> Iterator[str]:
    """The venv that a release was built with, and the one that it leads to, should somebody have turned the link."""
    yield store.record(release).get("venv", "")
    link = store.path(release) / "venv"
    if link.is_symlink():
        yield os.readlink(link).rpartition("/")[2]
