"""Texts from `templates/`, and those of earlier runs that would come out the same."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path
from typing import Any

from carboy.catalog import Content
from carboy.inventory.sealed import HIDDEN
from carboy.project import ROOT, STATE

FOLDER = ROOT / "templates"
ROLES = ROOT / "roles"
KEPT = STATE / "templates"


def template(name: str, **variables: Any) -> Content:
    """Render `templates/<name>`; raises `DeclarationError` with the template's own line on any mistake in it.

    A text is kept under the digest of all that it depends on, the properties that roles compute among it: to load
    jinja2 takes longer than a host needs to answer.
    """
    parts = (name, _sources(FOLDER), _sources(ROLES), sorted(variables.items()))
    told = repr(parts)
    if HIDDEN in told:
        # What may come to stand in the text is in no file of this machine, and in no name of one.
        return Content.of(_render(name, variables))
    kept = KEPT / hashlib.sha256(told.encode()).hexdigest()
    if not kept.exists():
        _keep(kept, _render(name, variables))
    return Content.of(kept.read_bytes())


def _render(name: str, variables: dict[str, Any]) -> str:
    from carboy.rendering import render

    return render(FOLDER, name, variables)


def _keep(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


@cache
def _sources(folder: Path) -> str:
    """One digest of all files below a folder, since one may include another."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return hashlib.sha256(repr([(path, path.read_bytes()) for path in files]).encode()).hexdigest()
