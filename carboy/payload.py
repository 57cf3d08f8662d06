"""What travels to a host: the modules that a verb needs, its arguments, and the command that starts them.

A module that another one imports at its top travels at once. What is imported inside a function is wanted only by a
host that has something to repair: it follows when such a host asks for it.
"""

from __future__ import annotations

import json
import re
import zlib
from functools import cache
from pathlib import Path
from threading import Thread
from typing import Any

APPLIER = Path(__file__).parent / "applier"
IMPORT = re.compile(r"^( *)from carboy\.applier(?:\.([\w.]+))? import (.+)$", re.MULTILINE)
DOCSTRING = re.compile(r'^( *)"""(?:(?!""").)*"""$', re.MULTILINE | re.DOTALL)
RETURNS = re.compile(r"\) -> [^\n]+:$", re.MULTILINE)
INDENT = re.compile(r"^(?: {4})+", re.MULTILINE)
COMMENT = re.compile(r"^ *#.*$", re.MULTILINE)
BOOT = "import sys,zlib;i=sys.stdin.buffer;exec(zlib.decompress(i.read(int(i.readline()))))"


def entrance(verb: str, runtime: str) -> str:
    """The module that a verb begins with: the runtime's own where it has one."""
    own = f"{runtime}.{verb}"
    return own if _path(own).exists() else verb


def runtime_modules(runtime: str) -> tuple[str, ...]:
    """What a runtime adds to every verb; nothing for one whose verbs are all its own."""
    module = f"{runtime}.runtime"
    return (module,) if _path(module).exists() else ()


def foresee(verb: str, resources: tuple[str, ...] = ()) -> None:
    """Begin with what `pack` will take a while for, in a thread: whoever sends it has to wait for the host first."""
    Thread(target=_begun, args=(verb, resources)).start()


def pack(verb: str, args: dict[str, Any], resources: tuple[str, ...] = ()) -> bytes:
    """The bytes for a host's stdin: the loader with all that `verb` and the named resource modules import at once.

    The host's Python reads one line with the length, then that many bytes of zlib, and executes them.
    """
    begun, packer = _begun(verb, resources)
    rest = packer.copy()
    packed = begun + rest.compress(f"{args!r}}})\n".encode()) + rest.flush()
    return b"%d\n%s" % (len(packed), packed)


@cache
def _begun(verb: str, resources: tuple[str, ...]) -> tuple[bytes, Any]:
    """What is the same for many hosts, packed once: the bytes so far, and the packer in the middle of its work."""
    modules = {"carboy": "", "carboy.applier": "", **_lean_modules(_closure((verb, *resources), later=False))}
    # As a literal and not as JSON in one: the fewer marks are escaped, the smaller it packs.
    start = f"start({{'modules': {modules!r}, 'main': 'carboy.applier.{verb}', 'args': "
    packer = zlib.compressobj(9)
    return packer.compress(f"{lean(_source('loader'))}\n{start}".encode()), packer


def repairs(verb: str, resources: tuple[str, ...] = ()) -> bytes:
    """The modules that are wanted only where something is repaired, in the form that `applier/code.py` reads."""
    names = (verb, *resources)
    modules = _lean_modules(_closure(names, later=True) - _closure(names, later=False))
    return zlib.compress(json.dumps(modules).encode(), 9)


def lean(source: str) -> str:
    """The source without docstrings, comment lines and types of results, and with narrow indents unless it has texts of
    several lines; each line keeps its number for tracebacks.

    What stands for a docstring is not empty: a dataclass without one makes itself one, and takes a while.
    """
    without = DOCSTRING.sub(lambda match: match[1] + '"."' + "\n" * match[0].count("\n"), source)
    short = COMMENT.sub("", RETURNS.sub("):", without))
    return short if '"""' in short else INDENT.sub(lambda match: " " * (len(match[0]) // 4), short)


def _lean_modules(names: set[str]) -> dict[str, str]:
    packages = {name.rpartition(".")[0] for name in names if "." in name}
    modules = {**dict.fromkeys(packages, ""), **{name: lean(_source(name)) for name in names}}
    return {f"carboy.applier.{name}": modules[name] for name in sorted(modules)}


def _closure(names: tuple[str, ...], *, later: bool) -> set[str]:
    """The modules of the applier that these import, directly or not, and they themselves; `later`: in functions too."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(_imports(name, later))
    return found


@cache
def _imports(name: str, later: bool) -> tuple[str, ...]:
    listed = [(place, names) for indent, place, names in IMPORT.findall(_source(name)) if later or not indent]
    return tuple(module for place, names in listed for module in _modules(place, names.split(",")))


def _modules(place: str, names: list[str]) -> list[str]:
    """The modules that `from PLACE import NAMES` needs: the place itself, or the names if that is a package."""
    if not (APPLIER / place.replace(".", "/")).is_dir():
        return [place]
    return [f"{place}.{name.strip()}".lstrip(".") for name in names]


@cache
def _source(name: str) -> str:
    return _path(name).read_text(encoding="utf-8")


def _path(name: str) -> Path:
    return APPLIER / f"{name.replace('.', '/')}.py"
