"""What sets two releases apart, as people want to read it before they switch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, FrozenSet

from carboy.applier.file import unified
from carboy.applier.store import COMPLETE, MANIFEST


@dataclass(frozen=True)
class Contents:
    """A release: digests of its tree by path, the texts beside the tree by name, and which of these are secret."""

    tree: Dict[str, str]
    texts: Dict[str, bytes]
    secret: FrozenSet[str]


def tree_of(release: Path) -> Dict[str, str]:
    """Path and digest of each file in a release's tree; empty where there is no release."""
    manifest = release / MANIFEST
    entries = json.loads(manifest.read_text()) if manifest.exists() else []
    return {path: digest for path, _, digest, *_ in entries}


def contents_of(release: Path) -> Contents:
    """Read a complete release; one that is not there has nothing."""
    record = release / COMPLETE
    files = json.loads(record.read_text())["files"] if record.exists() else {}
    texts = {name: (release / name.replace("{release}", release.name)).read_bytes() for name in files}
    return Contents(tree_of(release), texts, secrets(files))


def secrets(files: Dict[str, str]) -> FrozenSet[str]:
    """The names of files that not everybody may read, given each one's mode."""
    return frozenset(name for name, mode in files.items() if not int(mode, 8) & 0o007)


def difference(before: Contents, after: Contents) -> str:
    """Files of the tree by name, then each text as a unified diff; of a secret only the fact that it differs."""
    changed = sorted(name for name in {*before.tree, *after.tree} if before.tree.get(name) != after.tree.get(name))
    lines = ["%s tree/%s\n" % (_mark(name, before, after), name) for name in changed]
    for name in sorted({*before.texts, *after.texts}):
        old, new = before.texts.get(name, b""), after.texts.get(name, b"")
        hidden = name in before.secret | after.secret
        said = "~ %s (secret content differs)\n" % name if hidden else unified(name, old, new)
        lines.append(said if old != new else "")
    return "".join(lines)


def _mark(name: str, before: Contents, after: Contents) -> str:
    return "+" if name not in before.tree else "-" if name not in after.tree else "~"
