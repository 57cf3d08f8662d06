"""What travels to a host: the modules that a verb needs, its arguments, and the command that starts them."""

from __future__ import annotations

import re
import zlib
from functools import cache
from pathlib import Path
from typing import Any

APPLIER = Path(__file__).parent / "applier"
IMPORT = re.compile(r"^ *(?:from carboy\.applier(?:\.(\w+))? import (.+)|import carboy\.applier\.(\w+))$", re.MULTILINE)
DOCSTRING = re.compile(r'^( *)"""(?:(?!""").)*"""$', re.MULTILINE | re.DOTALL)
RETURNS = re.compile(r"\) -> [^\n]+:$", re.MULTILINE)
COMMENT = re.compile(r"^ *#.*$", re.MULTILINE)
BOOT = "import sys,zlib;i=sys.stdin.buffer;exec(zlib.decompress(i.read(int(i.readline()))))"


def pack(verb: str, args: dict[str, Any], resources: tuple[str, ...] = ()) -> bytes:
    """The bytes for a host's stdin: the loader with all that `verb` and the named resource modules import.

    The host's Python reads one line with the length, then that many bytes of zlib, and executes them.
    """
    modules = {"carboy": "", "carboy.applier": ""}
    for name in sorted(_closure((verb, *resources))):
        modules[f"carboy.applier.{name}"] = lean(_source(name))
    # As a literal and not as JSON in one: the fewer marks are escaped, the smaller it packs.
    payload = {"modules": modules, "main": f"carboy.applier.{verb}", "args": args}
    packed = zlib.compress(f"{lean(_source('loader'))}\nstart({payload!r})\n".encode(), 9)
    return b"%d\n%s" % (len(packed), packed)


def lean(source: str) -> str:
    """The source without docstrings, comment lines and types of results; each line keeps its number for tracebacks."""
    without = DOCSTRING.sub(lambda match: match[1] + '""' + "\n" * match[0].count("\n"), source)
    return COMMENT.sub("", RETURNS.sub("):", without))


def _closure(names: tuple[str, ...]) -> set[str]:
    """The modules of the applier that these import, directly or not, and they themselves."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(_imports(name))
    return found


@cache
def _imports(name: str) -> tuple[str, ...]:
    matches = IMPORT.findall(_source(name))
    listed = [module or plain or names for module, names, plain in matches]
    return tuple(part.strip() for item in listed for part in item.split(","))


@cache
def _source(name: str) -> str:
    return (APPLIER / f"{name}.py").read_text(encoding="utf-8")
