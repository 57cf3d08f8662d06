"""What runs on hosts as source: standard library only, Python 3.9, and the same program after it was made lean."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from carboy.payload import lean

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "carboy/applier").glob("*.py"))
OLDEST = (3, 9)
EACH = pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
IMPORT_ALL = """
import importlib, pathlib, sys
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
for path in sorted(pathlib.Path(sys.argv[1], "carboy/applier").glob("*.py")):
    importlib.import_module("carboy.applier." + path.stem)
print("all of %d.%d" % sys.version_info[:2])
"""


def imported(tree: ast.AST) -> Iterator[str]:
    """The full names of all modules that a source imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports do not survive the journey"
            yield node.module or ""


def meaning(source: str) -> str:
    """What a source does, whatever its docstrings, comments and types of results say."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


@EACH
def test_only_the_standard_library_is_imported(path: Path) -> None:
    """Nothing has to be installed on a host first."""
    for name in imported(ast.parse(path.read_text())):
        ours = name in ("carboy.applier", "carboy") or name.startswith("carboy.applier.")
        assert ours or name.partition(".")[0] in sys.stdlib_module_names, name


@EACH
def test_it_parses_as_the_oldest_python(path: Path) -> None:
    """No syntax is newer than Python 3.9: no match, no parenthesised with."""
    ast.parse(path.read_text(), feature_version=OLDEST)


@EACH
def test_annotations_are_never_evaluated(path: Path) -> None:
    """`X | Y` stands only in annotations, and there it stays text, because the module postpones them."""
    tree = ast.parse(path.read_text())
    annotations = {id(part) for note in _annotations(tree) for part in ast.walk(note)}
    unions = {id(node) for node in ast.walk(tree) if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr)}
    names = {id(node) for node in ast.walk(tree) if isinstance(node, ast.BinOp) and isinstance(node.left, ast.Name)}
    assert not (unions & names) - annotations
    assert "__future__" in imported(tree) or not unions & annotations


@EACH
def test_the_lean_source_is_the_same_program(path: Path) -> None:
    """Without docstrings, comments and wide indents it does the same, and lines keep their numbers."""
    source = path.read_text()
    assert meaning(lean(source)) == meaning(source)
    assert _lines_of_code(lean(source)) == _lines_of_code(source)


def test_no_docstring_or_comment_travels() -> None:
    """The lean sources of all modules hold neither."""
    whole = [ast.parse(lean(path.read_text())) for path in MODULES]
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    texts = [ast.get_docstring(node) for tree in whole for node in ast.walk(tree) if isinstance(node, documented)]
    assert not {text for text in texts if text} - {"."}
    lines = [line for path in MODULES for line in lean(path.read_text()).splitlines()]
    assert not [line for line in lines if line.lstrip().startswith("#")]


def test_every_module_imports_on_the_oldest_python(tmp_path: Path) -> None:
    """Where a Python 3.9 is on this machine, each module of the applier is really imported by it."""
    python = _oldest_python()
    if not python:
        pytest.skip("no Python 3.9 on this machine; its syntax is checked all the same")
    done = subprocess.run([python, "-I", "-S", "-c", IMPORT_ALL, ROOT], capture_output=True, text=True, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("all of 3.9\n", "")


def _oldest_python() -> Path | None:
    """A Python 3.9 that starts: one on the PATH, or one that pyenv keeps."""
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/3.9*/bin/python3.9")
    found = [*map(Path, filter(None, [shutil.which("python3.9")])), *kept]
    return next((path for path in found if not subprocess.run([path, "-V"], capture_output=True).returncode), None)


def _annotations(tree: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        yield from filter(None, [getattr(node, "annotation", None), getattr(node, "returns", None)])


def _lines_of_code(source: str) -> list[tuple[int, str]]:
    nodes = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.stmt))
    return [(node.lineno, type(node).__name__) for node in nodes if not isinstance(node, ast.Expr)]
