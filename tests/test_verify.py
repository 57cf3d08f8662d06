"""`invoke verify` without a host: how it judges, and what it may send to a host."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from carboy.console import words
from carboy.errors import FailedError
from carboy.inventory import Host
from carboy.verify import judge
from carboy.verify.backend import Backend
from carboy.verify.session import SUITE, check
from carboy.verify.target import ON_HOST, script
from tests.verify.releases.test_packages import parsed, unmet

MODULES = sorted(ON_HOST.glob("*.py"))
HOST = {"python_version": "3.11", "sys_platform": "linux"}
VENV = {
    "gunicorn": {"version": "27.0.1", "requires": ['gevent>=24; extra == "gevent"', 'tomli; python_version < "3.11"']},
    "flask": {"version": "3.1.3", "requires": ["werkzeug>=3.1"]},
    "werkzeug": {"version": "3.0.0", "requires": []},
}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.name))
def test_what_runs_on_hosts_needs_python_3_9_alone(module: Path) -> None:
    """What is sent to a host parses as Python 3.9, and imports nothing but the standard library and itself."""
    tree = ast.parse(module.read_text(), feature_version=(3, 9))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {
        alias.name if isinstance(node, ast.Import) else node.module or "" for node in imports for alias in node.names
    }
    assert {name.partition(".")[0] for name in names} <= {*sys.stdlib_module_names, "carboy"}
    assert {name for name in names if name.startswith("carboy")} <= {"carboy.verify.on_host"}


def test_a_question_is_answered_by_a_bare_python(tmp_path: Path) -> None:
    """The text that is sent is complete: a Python that sees no other module of Carboy answers."""
    (tmp_path / "fine.py").write_text("x = 1\n")
    (tmp_path / "no python.py").write_text("x = \n")
    command = [sys.executable, "-I", "-S", "-", "look.stale_bytecode", str(tmp_path)]
    done = subprocess.run(command, input=script(), capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [str(tmp_path / "fine.py")]


def test_plain_pytest_collects_no_check() -> None:
    """Where nobody named a host, the checks of hosts are no tests."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", str(SUITE)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=SUITE.parents[1])
    assert "no tests collected" in done.stdout, done.stdout


@pytest.mark.parametrize(
    ("requirement", "problems"),
    [
        ("flask==3.1.3", ["werkzeug>=3.1 (it has 3.0.0)"]),
        ("Gunicorn", []),
        ("gunicorn[gevent]==27.0.1", ['gevent>=24; extra == "gevent" (absent)']),
        ("gunicorn==26", ["gunicorn==26 (it has 27.0.1)"]),
        ("celery", ["celery (absent)"]),
        ('celery; sys_platform == "win32"', []),
    ],
)
def test_unmet_requirements(requirement: str, problems: list[str]) -> None:
    """A requirement is met if its version fits and all that it needs on this host, extras included, is met too."""
    assert list(unmet([Requirement(requirement)], VENV, HOST)) == problems


def test_what_pip_reads_is_read() -> None:
    """Options, hashes and comments of a requirements file are passed over."""
    text = "--no-binary :all:\nflask==3.1.3 --hash=sha256:00  # pinned\n\n-e .\n./local\n"
    assert [str(requirement) for requirement in parsed(text)] == ["flask==3.1.3"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("40s", 40), ("1min 30s", 90), ("500ms", 0.5), ("1h", 3600), ("0", 0), ("infinity", float("inf"))],
)
def test_time_spans_of_systemd(text: str, seconds: float) -> None:
    """Time spans are read as systemd writes them."""
    assert judge.seconds(text) == pytest.approx(seconds)


CHECK = {
    "title": "every word of a title that is rather long " * 3,
    "facts": {"kills": 3},
    "outcome": "failed",
    "subject": "account",
    "seconds": 0.014,
    "message": "what is wrong\nnext: do this",
}


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_a_check_fits_the_terminal(width: int) -> None:
    """A long title goes on below itself, no word of it is lost, and the finding stands below."""
    lines = [text for text, _, _ in words.check(CHECK, words.Look(width, check=False))]
    title, begin, end = lines[:-2], "failed   account   ", "   0.01 s"
    assert lines[-2:] == ["| what is wrong", "| next: do this"] and max(map(len, title)) <= width
    assert title[0].startswith(begin) and title[0].endswith(end)
    assert all(line.startswith(" " * len(begin)) for line in title[1:])
    shown = " ".join([title[0][len(begin) : -len(end)], *title[1:]])
    assert shown.split() == f"{CHECK['title']} · kills 3".split()


def test_a_check_is_one_line_where_there_is_no_terminal() -> None:
    """What a program or a file gets is not broken."""
    line, *_ = words.check({**CHECK, "message": ""}, words.Look(None, check=False))
    assert line == (f"failed   account   {CHECK['title']} · kills 3   0.01 s", "red", False)


def test_a_finding_says_what_is_what_should_be_and_what_to_do() -> None:
    """Only what differs is named."""
    with pytest.raises(AssertionError) as problem:
        judge.same({"mode": "644", "owner": "root"}, {"mode": "600", "owner": "root"}, "file x", "chmod 600 x")
    assert str(problem.value) == "file x: mode is 644, wanted 600\nnext: chmod 600 x"


def test_what_a_login_says_at_its_end_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Words before and after the command's own belong to neither its output nor its exit code."""
    shell = tmp_path / "sh"
    shell.write_text(f"#!/bin/sh\nexport PATH={os.environ['PATH']}\necho hello 1; /bin/sh; echo 2 hours, good bye\n")
    shell.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with Backend(Host("here", {"ansible_connection": "local"}, {})) as backend:
        done = backend.run("printf '%%s' %s; exit 7", "a\nb")
    assert (done.rc, done.stdout) == (7, "a\nb")


def test_a_fault_is_told_as_one() -> None:
    """Whatever goes wrong in the process of a host, its error is said, and nothing is thrown about."""
    said: list[object] = []
    check(said.append, declared=None, kill=False, live=False)  # type: ignore[arg-type]
    connecting, error = said
    assert connecting == {"event": "connecting"}
    assert isinstance(error, FailedError) and error.what == "a fault in Carboy itself: AttributeError"
