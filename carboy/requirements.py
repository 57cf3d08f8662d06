"""The app's requirements as one text: the file of its tree, what that includes, and the lines of the inventory."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from carboy.catalog import Content
from carboy.errors import DeclarationError
from carboy.source import Source

INCLUDE = re.compile(r"^\s*(?:-r|--requirement)[ =]?\s*(\S+)(?:\s+#.*|\s*)$")
MAX_DEPTH = 10


def content(tree: Source, file: str, lines: tuple[str, ...], where: str) -> Content:
    """Everything to install, a requirement a line; raises `DeclarationError` for nothing at all or a missing file."""
    named = [*_read(tree, file, where, 0)] if file in tree.files or (tree.files and not lines) else []
    text = "\n".join(line for line in [*named, *lines] if line.strip() and not line.strip().startswith("#"))
    if not text:
        raise DeclarationError(
            "the app requires nothing, not even a server",
            where=where,
            hint="name a file in app_requirements, or app_requires",
        )
    return Content.of(text + "\n")


def _read(tree: Source, file: str, where: str, depth: int) -> Iterator[str]:
    text = tree.text(file)
    if text is None or depth > MAX_DEPTH:
        raise DeclarationError(
            f"no requirements file {file} in the app's tree" if text is None else f"{file} includes itself",
            where=where,
            hint="set app_requirements to its path in the tree",
        )
    for line in text.splitlines():
        included = INCLUDE.match(line)
        if included:
            inner = posixpath.normpath(posixpath.join(posixpath.dirname(file), included[1]))
            yield from _read(tree, inner, where, depth + 1)
        elif line.lstrip().startswith(("-c", "--constraint")):
            raise DeclarationError(
                f"{file} names a constraints file, which does not travel: {line.strip()}",
                where=where,
                hint="write the versions into the requirements",
            )
        else:
            yield line
