"""What lies around an inventory and tells Ansible more about it: variables beside a playbook, and an ansible.cfg."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from carboy.errors import DeclarationError

_KINDS = ("group_vars", "host_vars")
_PLAY = r"(?m)^-\s+(name|hosts|import_playbook):"
_ABOVE = 2
"""So many folders above an inventory may hold the playbook that it belongs to."""


def refuse_beside_playbook(folders: Collection[Path]) -> None:
    """Raise DeclarationError for variables beside a playbook near the folders: Ansible reads them too."""
    read = {(folder / kind).resolve() for folder in folders for kind in _KINDS}
    for folder in map(Path.absolute, folders):
        for place in folder.parents[:_ABOVE]:
            _refuse_beside(folder, place, read)


def configs(folders: Collection[Path]) -> list[Path]:
    """The ansible.cfg that is nearest to each folder, in it or above."""
    found: dict[Path, None] = {}
    for folder in map(Path.absolute, folders):
        near = (place / "ansible.cfg" for place in (folder, *folder.parents[:_ABOVE]))
        found |= dict.fromkeys([file for file in near if file.is_file()][:1])
    return list(found)


def _refuse_beside(folder: Path, place: Path, read: Collection[Path]) -> None:
    for kind in _KINDS:
        found = place / kind
        if found.is_dir() and found.resolve() not in read and _has_playbook(place):
            what = f"{kind} beside a playbook are not read, only those beside the inventory"
            hint = f"move them there, or show them there too: ln -s {found} {folder / kind}"
            raise DeclarationError(what, where=str(found), hint=hint)


def _has_playbook(folder: Path) -> bool:
    if (folder / "ansible.cfg").is_file() or (folder / "roles").is_dir():
        return True
    return any(re.search(_PLAY, file.read_text("utf-8", "replace")) for file in _texts(folder))


def _texts(folder: Path) -> Iterator[Path]:
    return (file for file in (*folder.glob("*.yml"), *folder.glob("*.yaml")) if file.is_file())
