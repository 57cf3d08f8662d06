"""The README is typed as it stands, against a real host: each command ends as shown and says what is shown."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from carboy.sandbox.__main__ import NEXT
from tests.host.conftest import ROOT, Site
from tests.support.typist import INVOKE as LAUNCHER

CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
RECIPE = re.compile(r"^([a-z-]+):.*\n((?:\t.*\n)*)", re.MULTILINE)
INVOKE = ".venv/bin/invoke"
NAMES_IN_README = re.compile(r"\b(sandbox|prod1|web)\b")
# A run has names, digests, times and counts of its own; what is left is the form.
PLACEHOLDERS = (
    (re.compile(r"\b\d{8}T\d{6}Z-[0-9a-f]{8}\b"), "RELEASE"),
    (re.compile(r"\b(?:[0-9a-f]{12}|[0-9a-f]{8})\b"), "DIGEST"),
    (re.compile(r"\d+(?:\.\d+)*"), "N"),
)


def change(site: Site) -> None:
    """Change a line in app/."""
    site.edit("app/wsgi.py", "app = create_app()", "app = create_app()\n# changed")


def break_it(site: Site) -> None:
    """Let the app import what is not there, in the line that it was created in."""
    site.edit("app/wsgi.py", "app = create_app()", "import a_module_that_is_not_there\napp = create_app()")


def mend(site: Site) -> None:
    """Take that back."""
    site.edit("app/wsgi.py", "import a_module_that_is_not_there\n", "")


EDITS: dict[str, Callable[[Site], None]] = {
    "Then change a line in `app/`": change,
    "A release whose code is broken": break_it,
    "## Your own app on your own host": mend,
}
"""What a person does after reading these words, before typing on."""


@dataclass(frozen=True)
class Step:
    """A command of the README, the lines shown below it, and the words since the one before."""

    command: str
    shown: list[str]
    words: str

    @property
    def codes(self) -> set[int]:
        """How it may end, going by what is shown."""
        if any(line.startswith("error: ") for line in self.shown):
            return {1}
        if re.search(r"invoke plan|--check", self.command):
            return {2} if "would change" in "".join(self.shown) else {0, 2}
        return {0}


def steps(text: str) -> Iterator[Step]:
    """All commands in the order in which they stand."""
    words, *rest = CONSOLE.split(text)
    for block, after in zip(rest[::2], rest[1::2], strict=True):
        for command, output in COMMAND.findall(block):
            yield Step(command, output.splitlines(), words)
            words = ""
        words = after


STEPS = list(steps((ROOT / "README.md").read_text()))


@pytest.mark.parametrize("step", STEPS, ids=[f"{at}: {step.command}" for at, step in enumerate(STEPS, 1)])
def test_what_the_readme_shows(fresh: Site, step: Step) -> None:
    """Typed in order, each command ends with the code it should, and says every line shown, in that order."""
    for words, edit in EDITS.items():
        if words in step.words:
            edit(fresh)
    code, said = typed(fresh, step.command)
    assert code in step.codes, said
    real = iter(form(said).splitlines())
    missing = [line for line in step.shown if form(NAMES_IN_README.sub("box", line)) not in real]
    assert not missing, f"not said, or not in this order: {missing}\n{said}"


def test_the_readme_says_when_to_edit() -> None:
    """The words on which this test edits the app all stand before a command."""
    before = "".join(step.words for step in STEPS)
    assert [words for words in EDITS if words not in before] == []


def typed(site: Site, command: str) -> tuple[int, str]:
    """Exit code and output of a command line; one of make is what its recipe types for a host that is up."""
    if not command.startswith("make "):
        return invoked(site, command)
    recipe = dict(RECIPE.findall((ROOT / "Makefile").read_text()))[command.removeprefix("make ")]
    lines = [line.strip().lstrip("@") for line in recipe.splitlines()]
    assert [f"{INVOKE} sandbox.up", f"{INVOKE} deploy", ".venv/bin/python -m carboy.sandbox next"] == lines
    code, said = invoked(site, lines[1])
    return code, said + NEXT.format(url=site.host.url)


def invoked(site: Site, command: str) -> tuple[int, str]:
    """Exit code and output of a verb, on this test's host in the place of the README's."""
    program, verb, *words = shlex.split(command)
    assert program == INVOKE
    site.write_inventory()
    named = [NAMES_IN_README.sub("box", word) for word in words]
    places = ["-i", str(site.folder / "inventory"), *([] if "--host" in words else ["--host", "box"])]
    full = [LAUNCHER, verb, *places, *named]
    # Only `trust` asks anything.
    done = subprocess.run(
        full, cwd=ROOT, env=site.env, input="y\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.returncode, done.stdout


def form(text: str) -> str:
    """The text without what differs from run to run."""
    for pattern, placeholder in PLACEHOLDERS:
        text = pattern.sub(placeholder, text)
    return text
