"""The payload: what a verb needs and nothing else, started from memory by a Python without any site."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from carboy.applier.stream import MARKER
from carboy.payload import BOOT, lean, pack, repairs

VERBS = ["apply", "inspect", "rollback", "logs"]
ALL = ("cutover", "release", "file", "directory", "link", "user", "package", "service", "venv", "name")
IMPORTED = [re.compile(rf"^{indent}(?:from|import) (carboy\.applier\.\w+)", re.MULTILINE) for indent in ("", " *")]
ARGS: dict[str, Any] = {"app": "probe", "run": "r1", "holder": {}}


def modules(payload: bytes) -> dict[str, str]:
    """The modules in a payload, by their full names."""
    source = zlib.decompress(payload.partition(b"\n")[2]).decode()
    found: dict[str, str] = eval(source.rpartition("\nstart(")[2].rstrip(")\n"))["modules"]
    return found


@pytest.mark.parametrize("verb", VERBS)
def test_everything_that_is_imported_travels(verb: str) -> None:
    """No module of the applier names one that is neither there nor among those that follow for repairs."""
    travelling = modules(pack(verb, ARGS, ALL))
    following: dict[str, str] = json.loads(zlib.decompress(repairs(verb, ALL)))
    assert IMPORTED[0].search("".join(travelling.values()))
    at_once = {name for source in travelling.values() for name in IMPORTED[0].findall(source)}
    wanted = {name for source in {**travelling, **following}.values() for name in IMPORTED[1].findall(source)}
    assert at_once <= set(travelling)
    assert wanted <= set(travelling) | set(following)
    assert not set(travelling) & set(following)
    assert "carboy.applier.loader" not in travelling


def test_a_host_that_is_as_declared_gets_nothing_to_switch_with() -> None:
    """What only repairs need is not in the payload."""
    assert "carboy.applier.switch" not in modules(pack("apply", ARGS, ALL))
    assert b"carboy.applier.switch" in zlib.decompress(repairs("apply", ALL))


def test_only_what_is_used_travels() -> None:
    """A resource type is in the payload if the catalog has one of it, and not otherwise."""
    small, large = modules(pack("apply", ARGS, ("directory",))), modules(pack("apply", ARGS, ("release",)))
    assert "carboy.applier.directory" in small
    assert "carboy.applier.release" in large and "carboy.applier.venv" in large
    assert "carboy.applier.release" not in small


def test_equal_declarations_give_equal_payloads() -> None:
    """The order in which resource types are named makes no difference."""
    assert pack("apply", ARGS, ("file", "link")) == pack("apply", ARGS, ("link", "file"))


def test_it_starts_without_any_file(tmp_path: Path) -> None:
    """The payload alone, on the stdin of an isolated Python in an empty folder, runs a verb to its end."""
    args = {**ARGS, "catalog": [], "check": True, "diff": False, "wait": 0}
    command = [sys.executable, "-I", "-S", "-c", BOOT]
    done = subprocess.run(command, input=pack("apply", args), capture_output=True, cwd=tmp_path)
    lines = done.stdout.decode().split()
    assert lines[0] == MARKER
    assert json.loads(done.stdout.decode().splitlines()[-1])["exit"] == 0
    assert done.stderr == b""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ['it\'s "so"', "\\", "\n\r\0", "größe 🚀", "'''", '"""'])
def test_any_text_survives_as_an_argument(tmp_path: Path, text: str) -> None:
    """Arguments arrive as they were, whatever characters they are made of."""
    args = {**ARGS, "file": f"/no/such/{text}".replace("\0", ""), "follow": False, "lines": 1}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", BOOT], input=pack("logs", args), capture_output=True, cwd=tmp_path
    )
    events = [json.loads(line) for line in done.stdout.decode().splitlines() if line.startswith("{")]
    assert events[0]["what"] == "no log file " + args["file"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('def f():\n    """One line."""\n    return 1\n', 'def f():\n "."\n return 1\n'),
        ('x = """no docstring"""\n', 'x = """no docstring"""\n'),
        ('def f():\n    x = """\n    a\n"""\n', 'def f():\n    x = """\n    a\n"""\n'),
        ('class A:\n    """One.\n\n    More.\n    """\n    b = 1\n', 'class A:\n "."\n\n\n\n b = 1\n'),
        ("a = 1\n# remark\nb = '# no remark'\n", "a = 1\n\nb = '# no remark'\n"),
    ],
    ids=["docstring", "text", "text of lines", "many lines", "comments"],
)
def test_lean(source: str, expected: str) -> None:
    """Docstrings and comment lines go, texts stay, and each line keeps its number."""
    assert lean(source) == expected
