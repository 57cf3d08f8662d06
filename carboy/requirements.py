"""The app's requirements as one text: the file of its tree, what that includes, and the lines of the inventory."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from carboy.catalog import Content
from carboy.errors import DeclarationError
from carboy.source import Source

INCLUDE = re.compile(r"^\s*(?:-r|--requirement)[ =]?\s*(\S+)(?:\s+#.*|\s*)$")
PACKAGE = re.compile(r"\s*(?P<name>[A-Za-z0-9][\w.-]*)\s*(?:\[(?P<extras>[^]]*)\])?")
MAX_DEPTH = 10


def content(tree: Source, file: str, lines: tuple[str, ...], where: str, *, server: tuple[str, ...] = ()) -> Content:
    """Everything to install, a requirement a line, also what the server is made of if the app names no version of it.

    Raises `DeclarationError` if the app requires nothing at all, or for a missing file.
    """
    read = [*_read(tree, file, where, 0)] if file in tree.files or (tree.files and not lines) else []
    named = [line for line in [*read, *lines] if line.strip() and not line.strip().startswith("#")]
    if not named:
        raise DeclarationError(
            "the app requires nothing, not even a server",
            where=where,
            hint="name a file in app_requirements, or app_requires",
        )
    return Content.of("".join(f"{line}\n" for line in [*named, *_lacking(named, server)]))


def _lacking(named: list[str], server: tuple[str, ...]) -> Iterator[str]:
    """What the app does not name of its server; of a package that it names only the extras, the version being its."""
    there = [found for found in map(PACKAGE.match, named) if found]
    extras = {_plain(each["name"]): set[str]() for each in there}
    for each in there:
        extras[_plain(each["name"])] |= _extras(each)
    # With hashes each line must have one: nothing can be added, and the gate says what is missing.
    for line in () if any("--hash" in each for each in named) else server:
        wanted = PACKAGE.match(line)
        if wanted and _plain(wanted["name"]) not in extras:
            yield line
        elif wanted and not _extras(wanted) <= extras[_plain(wanted["name"])]:
            yield wanted[0]


def _plain(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


def _extras(line: re.Match[str]) -> set[str]:
    return {extra.strip().lower() for extra in (line["extras"] or "").split(",")} - {""}


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
