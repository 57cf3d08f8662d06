"""The `group_vars/` and `host_vars/` beside an inventory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from carboy.inventory.document import read
from carboy.inventory.origin import Layer
from carboy.inventory.yaml_source import variables

SUFFIXES = ("", ".yml", ".yaml", ".json")


class VariableFiles:
    """One such folder; every file of it is read at most once, and only if a group or host of its name exists."""

    def __init__(self, folder: Path) -> None:
        self._entries = {entry.name: entry for entry in folder.iterdir()} if folder.is_dir() else {}
        self._layers: dict[str, Layer] = {}

    def of(self, name: str) -> Layer:
        """The variables of a group or host: of NAME, NAME.yml, NAME.yaml or NAME.json, whichever is there first."""
        if name not in self._layers:
            entry = next((self._entries[name + end] for end in SUFFIXES if name + end in self._entries), None)
            self._layers[name] = _merged(entry) if entry else {}
        return self._layers[name]


def _merged(entry: Path) -> Layer:
    layer: Layer = {}
    for file in _files(entry) if entry.is_dir() else [entry]:
        layer |= variables(file, read(file))
    return layer


def _files(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or entry.name.endswith("~"):
            continue
        if entry.is_dir() and not entry.suffix:
            yield from _files(entry)
        elif entry.is_file() and entry.suffix in SUFFIXES:
            yield entry
