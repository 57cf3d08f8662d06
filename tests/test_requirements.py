"""The app's requirements as one text, whatever files they are spread over."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from carboy.errors import DeclarationError
from carboy.requirements import content
from carboy.source import Source, load
from tests.support.trees import fill

WHERE = "hosts.yml: app_requirements"
LINES = st.lists(st.sampled_from(["flask==3.1", "  ", "# remark", "-r more.txt", "-r", "-rmore.txt", "--requirement"]))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The folder of an app."""
    return tmp_path / "app"


def text(tree: Path, files: dict[str, str], *lines: str, file: str = "requirements.txt") -> list[str]:
    """What is required of an app with these files."""
    return content(load(str(fill(tree, {"app.py": "", **files}))), file, lines, WHERE).text().splitlines()


def test_comments_and_empty_lines_do_not_count(tree: Path) -> None:
    """Only what is required is part of the identity: a remark does not build another venv."""
    assert text(tree, {"requirements.txt": "# web\n\nflask==3.1\n  # more\ngunicorn\n"}) == ["flask==3.1", "gunicorn"]


def test_lines_of_the_inventory_are_added(tree: Path) -> None:
    """app_requires comes after the file of the tree."""
    assert text(tree, {"requirements.txt": "flask\n"}, "gunicorn", "gevent") == ["flask", "gunicorn", "gevent"]


def test_lines_of_the_inventory_are_enough() -> None:
    """An app without any tree is what the inventory requires."""
    assert content(Source("", {}), "requirements.txt", ("flask", "gunicorn"), WHERE).text() == "flask\ngunicorn\n"


@pytest.mark.parametrize(
    "form", ["-r base.txt", "-rbase.txt", "--requirement base.txt", "--requirement=base.txt", " -r  base.txt "]
)
def test_included_files_stand_where_they_are_included(tree: Path, form: str) -> None:
    """Every way in which pip lets one file include another."""
    files = {
        "requirements.txt": f"a\n{form}\nz\n",
        "base.txt": "b\n-r sub/deep.txt\n",
        "sub/deep.txt": "-r ../c.txt\n",
        "c.txt": "c",
    }
    assert text(tree, files) == ["a", "b", "c", "z"]


def test_a_remark_after_an_include_is_a_remark(tree: Path) -> None:
    """pip ends a line at ` #`, and so do we."""
    assert text(tree, {"requirements.txt": "-r base.txt  # the base\n", "base.txt": "b\n"}) == ["b"]


def test_a_file_in_a_folder_includes_its_neighbours(tree: Path) -> None:
    """An included path starts at the file that includes it."""
    assert text(tree, {"app/all.txt": "-r base.txt\n", "app/base.txt": "b"}, file="app/all.txt") == ["b"]


@pytest.mark.parametrize(
    ("files", "what"),
    [
        ({"requirements.txt": "-r other.txt", "other.txt": "-r requirements.txt"}, "includes itself"),
        ({"requirements.txt": "-r requirements.txt"}, "includes itself"),
        ({"requirements.txt": "-r nowhere.txt"}, "no requirements file nowhere.txt"),
        ({"requirements.txt": "-r ../../etc/passwd"}, "no requirements file ../../etc/passwd"),
        ({}, "no requirements file requirements.txt"),
        ({"requirements.txt": "# nothing\n"}, "requires nothing"),
    ],
    ids=["circle", "itself", "missing", "outside", "none", "empty"],
)
def test_what_cannot_be_resolved_is_an_error(tree: Path, files: dict[str, str], what: str) -> None:
    """A circle, a missing file, a path that leaves the tree, or nothing at all: told with where it is declared."""
    with pytest.raises(DeclarationError, match=what) as caught:
        text(tree, files)
    assert (caught.value.where, caught.value.exit_code) == (WHERE, 3)
    assert caught.value.hint


@settings(max_examples=60, deadline=None)
@given(first=LINES, more=LINES, raw=st.text(max_size=30))
@example(first=["-r more.txt"] * 6, more=["-r more.txt"] * 6, raw="")
def test_any_text_ends_quickly(
    tmp_path_factory: pytest.TempPathFactory, first: list[str], more: list[str], raw: str
) -> None:
    """Whatever stands in the files: a list of lines, or one error; never a traceback, and never without an end."""
    files = {"requirements.txt": "\n".join([*first, raw]), "more.txt": "\n".join(more)}
    try:
        found = text(tmp_path_factory.mktemp("app"), files)
    except DeclarationError:
        return
    assert found and not [line for line in found if not line.strip() or line.strip().startswith("#")]
