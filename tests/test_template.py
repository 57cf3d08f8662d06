"""Templates: rendered as written, and every mistake in one is an error with its line."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from carboy import template as module
from carboy.errors import DeclarationError
from carboy.template import template
from tests.support.trees import fill

TEMPLATES = {
    "role/plain.j2": "a = {{ value }}\n\n{% if value %}\nyes\n{% endif %}\nend\n",
    "role/python.j2": "value = {{ value | py }}\n",
    "role/undefined.j2": "first\nsecond {{ nothing }}\n",
    "role/attribute.j2": "{{ value.nothing }}\n",
    "role/python-undefined.j2": "\n\n{{ nothing | py }}\n",
    "role/inner.j2": "\n{% include 'role/undefined.j2' %}\n",
    "role/syntax.j2": "first\n{% if %}\n",
    "role/unclosed.j2": "{% if value %}\n",
    "role/no-filter.j2": "first\nsecond\n{{ value | nofilter }}\n",
    "role/no-include.j2": "{% include 'role/absent.j2' %}\n",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Templates of the test's own."""
    monkeypatch.setattr(module, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(module, "FOLDER", fill(tmp_path / "templates", TEMPLATES))
    module._sources.cache_clear()
    yield tmp_path / "templates"
    module._sources.cache_clear()


def test_text_is_kept_as_written() -> None:
    """Lines with blocks alone leave nothing, empty lines and the last line break stay."""
    assert template("role/plain.j2", value="x").text() == "a = x\n\nyes\nend\n"


@pytest.mark.parametrize("value", ['it\'s "so"', "{{ x }}", "\\n\n", None, True, 1.5, ["a", {"b": ()}], "<&>"])
def test_python_literals(value: Any) -> None:
    """The filter `py` writes any setting as Python source that means the same."""
    written = template("role/python.j2", value=value).text().removeprefix("value = ")
    assert ast.literal_eval(written.rstrip("\n") if not isinstance(value, str) else written) == value


def test_equal_renderings_have_equal_digests() -> None:
    """The content is known by its bytes alone."""
    assert template("role/plain.j2", value="x") == template("role/plain.j2", value="x")
    assert template("role/plain.j2", value="x") != template("role/plain.j2", value="y")


@pytest.mark.parametrize(
    ("name", "what", "where"),
    [
        ("undefined", "'nothing' is undefined", "templates/role/undefined.j2:2"),
        ("attribute", "has no attribute 'nothing'", "templates/role/attribute.j2:1"),
        ("python-undefined", "'nothing' is undefined", "templates/role/python-undefined.j2:3"),
        ("inner", "'nothing' is undefined", "templates/role/inner.j2:2"),
        ("syntax", "template syntax", "role/syntax.j2:2"),
        ("unclosed", "template syntax", "role/unclosed.j2:1"),
        ("no-filter", "nofilter", "role/no-filter.j2:3"),
        ("no-include", "no template role/absent.j2", ""),
        ("absent", "no template role/absent.j2", ""),
    ],
)
def test_mistakes_name_the_line(name: str, what: str, where: str) -> None:
    """Undefined names, wrong syntax, unknown filters, missing files: exit code 3, with the line."""
    with pytest.raises(DeclarationError) as caught:
        template(f"role/{name}.j2", value="x")
    assert what in caught.value.what
    assert where in caught.value.where
    assert caught.value.exit_code == 3


def test_a_text_is_rendered_once(folder: Path) -> None:
    """What was rendered is kept until a variable or any template changes; an edited template is never missed."""
    first = template("role/plain.j2", value=1)
    (folder / "role/plain.j2").write_text("edited {{ value }}")
    assert template("role/plain.j2", value=1) == first, "within one command the templates do not change"
    module._sources.cache_clear()
    assert template("role/plain.j2", value=1).text() == "edited 1"
    assert template("role/plain.j2", value=2).text() == "edited 2"
