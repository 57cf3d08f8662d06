"""The folder that an image is built from: kept, so that the next one travels and weighs only what differs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Dict, Iterator, List, Tuple

from carboy.applier.difference import tree_of
from carboy.applier.host import remove, write
from carboy.applier.resource import Blob, Need
from carboy.applier.store import MANIFEST, Store

BUILT = "image.json"
PACKAGES = "packages/"
Part = Tuple[str, str, str, int]


class Context:
    """`parts` are all files that travel by digest: path in the folder, mode, digest, size."""

    def __init__(self, store: Store, key: str, parts: List[Part]) -> None:
        self.store, self.host, self.parts = store, store.host, parts
        self.path = store.home / "images" / key

    def lacks(self) -> Iterator[Need]:
        """The files that neither an earlier folder holds nor have arrived yet."""
        held = self._held()
        for digest, size in sorted({(digest, size) for _, _, digest, size in self.parts}):
            if digest not in held and not self.host.has({"blob": digest}):
                yield {"blob": digest, "size": size}

    def lay_out(self, manifest: Blob, texts: Dict[str, Tuple[str, Blob]]) -> None:
        """Make the folder anew; a file that is there already under its digest gets a second name."""
        held = self._held()
        for name, mode, digest, _ in self.parts:
            place = self.path / name
            place.parent.mkdir(parents=True, exist_ok=True)
            _put(held.get(digest) or self.host.blob({"blob": digest}), place, share=name.startswith(PACKAGES))
            # In the image they belong to root, and the app must be able to read them.
            place.chmod(int(mode, 8) | 0o444)
        for name, (mode, blob) in texts.items():
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            write(self.path / name, self.host.blob(blob.need).read_bytes(), int(mode, 8))
        write(self.path / MANIFEST, self.host.blob(manifest.need).read_bytes())

    def complete(self, image: str) -> None:
        """Write down which image was built, and of which packages: what the next one need not be sent."""
        packages = [part for part in self.parts if part[0].startswith(PACKAGES)]
        write(self.path / BUILT, json.dumps({"id": image, "packages": packages}).encode())

    def _held(self) -> Dict[str, Path]:
        """Where earlier folders hold files of this one, by digest; only those that still are what they were."""
        wanted = {digest for _, _, digest, _ in self.parts}
        # Not in the one that is made anew.
        folders = [path.parent for path in self.path.parent.glob("*/" + BUILT) if path.parent != self.path]
        places = {digest: path for folder in folders for digest, path in _places(folder)}
        return {digest: path for digest, path in places.items() if digest in wanted and _digest(path) == digest}


def prune(store: Store, kept: "set[str]") -> None:
    """Remove the folders of all images but these."""
    for path in (store.home / "images").glob("*"):
        if path.name not in kept:
            # The mark goes first: what is half removed must not look complete.
            remove(path / BUILT)
            remove(path)


def _places(folder: Path) -> "Iterator[Tuple[str, Path]]":
    for name, digest in tree_of(folder).items():
        yield digest, folder / "release/tree" / name
    for name, _, digest, _ in json.loads((folder / BUILT).read_text())["packages"]:
        yield digest, folder / name


def _put(source: Path, place: Path, *, share: bool) -> None:
    """A copy, or for what is large and all of one mode a second name, where the file system allows it."""
    try:
        (os.link if share else shutil.copyfile)(source, place)
    except OSError:
        shutil.copyfile(source, place)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
