"""Room on disk for all that a run will write, found lacking before anything is unpacked or changed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Dict, Iterable, List, Tuple

from carboy.applier import runtime
from carboy.applier.host import STATE, Host
from carboy.applier.prune import FEWEST, amount, spare, sweep
from carboy.applier.resource import Failure, Need, Resource, Weight
from carboy.applier.store import Store

BLOCK = 4096
# Measured over the packages of the example app: bytecode takes 1.35 times what its source does.
BYTECODE = 1.5
# For what is not counted, on each file system: texts, units, history, events, and what the app logs meanwhile.
RESERVE_BYTES, RESERVE_INODES = 1 << 21, 100


def weight(files: Iterable[Tuple[str, int]]) -> Tuple[int, int]:
    """Bytes and inodes that files take, given path and size: whole blocks, their folders, and bytecode of modules."""
    sizes = dict(files)
    modules = [name for name in sizes if name.endswith(".py")]
    sizes.update({"%s/__pycache__/%s" % os.path.split(name): int(sizes[name] * BYTECODE) for name in modules})
    folders = {folder for name in sizes for folder in PurePath(name).parents}
    blocks = sum(-(-size // BLOCK) for size in sizes.values())
    return (blocks + len(folders)) * BLOCK, len(sizes) + len(folders)


def check(host: Host, resources: Iterable[Resource], needs: Iterable[Need]) -> None:
    """Raise `Failure` unless what these needs bring and these resources write has room, as far as it is known yet."""
    store = Store(host, host.args["app"])
    weights = [(host.at(place), 0, 0) for place in ("/etc/systemd/system", STATE, str(store.home))]
    weights += [(host.blobs, need.get("size", 0), 1) for need in needs]
    weights += [weight for resource in resources for weight in resource.weighs(host)]
    if not _short(weights):
        return
    serving = runtime.of(store).read().serving if host.live else []
    if sweep(store, serving):
        host.say("removed what killed runs had left")
    short = _short(weights)
    if short:
        raise _refusal(store, short, serving)


@dataclass
class Disk:
    """A file system, by one of its folders, and what is to be written to it."""

    mount: Path
    bytes: int = RESERVE_BYTES
    inodes: int = RESERVE_INODES

    @property
    def free(self) -> Tuple[float, float]:
        """Bytes and inodes that everybody may have; no limit where inodes are made as they are needed."""
        found = os.statvfs(self.mount)
        return found.f_bavail * found.f_frsize, found.f_favail if found.f_files else float("inf")

    @property
    def short(self) -> bool:
        """Whether it is too small."""
        return self.free[0] < self.bytes or self.free[1] < self.inodes

    def __str__(self) -> str:
        free, inodes = self.free
        what = "%d inodes needed, %.0f free" % (self.inodes, inodes)
        if free < self.bytes:
            what = "%.1f MB needed, %.1f MB free" % (self.bytes / 1e6, free / 1e6)
        return "%s: %s" % (self.mount, what)


def _short(weights: Iterable[Weight]) -> List[Disk]:
    disks: Dict[int, Disk] = {}
    for path, size, inodes in weights:
        there = _existing(path)
        disk = disks.setdefault(there.stat().st_dev, Disk(_mount(there)))
        disk.bytes += size
        disk.inodes += inodes
    return [disk for disk in disks.values() if disk.short]


def _refusal(store: Store, short: List[Disk], serving: List[str]) -> Failure:
    host = store.host
    devices = {disk.mount.stat().st_dev for disk in short}
    logs = host.at("/var/log/" + store.app)
    places = [path for path in (store.home / "releases", store.home / "venvs", logs, host.blobs) if path.exists()]
    lines = [_line(path) for path in places if path.stat().st_dev in devices]
    may_go = [str(path) for path in spare(store, serving, FEWEST) if path.stat().st_dev in devices]
    also = "; no rollback to the last healthy release needs: " + " ".join(may_go) if may_go else ""
    return Failure(
        "not enough room on %s" % "; on ".join(map(str, short)),
        details="\n".join(lines),
        hint="make room there, then deploy again" + also,
    )


def _line(path: Path) -> str:
    size, inodes = amount([path])
    return "%s takes %.1f MB, %d inodes" % (path, size / 1e6, inodes)


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists()).resolve()


def _mount(path: Path) -> Path:
    """The topmost folder of the file system that a path lies in."""
    device = path.stat().st_dev
    return [folder for folder in (path, *path.parents) if folder.stat().st_dev == device][-1]
