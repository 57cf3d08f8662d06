"""Whatever a file holds, the answer is an inventory or one DeclarationError."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carboy.errors import DeclarationError
from carboy.inventory import load, parse_extra

BUDGET = settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))

GOOD = """\
all:
  vars: &v {ansible_port: 22, a: "{{ b }}", b: [1, 2.5, 2020-01-01]}
  children:
    web:
      hosts: {"web[1:3]": {<<: *v, c: !unsafe "{{"}, h:22: {d: !vault x}}
      vars: {ansible_group_priority: 2, ansible_user: root, ansible_become: yes, e: 0x1F}
"""
PIECES = [
    "{",
    "}",
    "[",
    "]",
    ":",
    " ",
    "\n",
    "- ",
    "&v ",
    "*v",
    "!",
    "!vault ",
    "!!int ",
    "<<: ",
    "{{ a }}",
    "{%",
    "\t",
    "\0",
    "'",
    '"',
    "~",
]

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.dates(), st.binary(max_size=4),
    st.sampled_from(["{{ a }}", "{{ a", "~x/y", "h[1:3]", "h[", "hosts", "all", "22"]),
)  # fmt: skip
keys = st.one_of(
    st.sampled_from(["all", "web", "hosts", "children", "vars", "ansible_port", "ansible_host", "ansible_become"]),
    scalars,
)
trees: Any = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4), max_leaves=20
)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """The good inventory with a few pieces put in, taken out or doubled."""
    text = GOOD
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 6)))
        text = (
            text[:start]
            + draw(st.sampled_from(PIECES) | st.text(max_size=3))
            + text[end if draw(st.booleans()) else start :]
        )
    return text


def survives(content: bytes, name: str = "hosts.yml") -> None:
    """Load, select and read everything; only a DeclarationError may come of it, and it can be printed."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "hosts.yml").write_text("web: {hosts: {h: }}")
        (Path(folder) / name).parent.mkdir(exist_ok=True)
        (Path(folder) / name).write_bytes(content)
        try:
            found = load([Path(folder)])
            for host in found.hosts.values():
                with contextlib.suppress(DeclarationError):
                    found.select([host.name])
                for variable in host.variables:
                    with contextlib.suppress(DeclarationError):
                        host.value(variable)
        except DeclarationError as error:
            str(error).encode()


@BUDGET
@given(st.one_of(mutated().map(lambda text: text.encode("utf-8", "surrogatepass")), st.binary(max_size=60)))
def test_mutated_text(content: bytes) -> None:
    """A broken inventory is never a traceback."""
    survives(content)


@BUDGET
@given(trees)
def test_any_tree(tree: Any) -> None:
    """Any YAML value in the place of an inventory or of variables is never a traceback."""
    content = yaml.safe_dump(tree).encode("utf-8", "surrogatepass")
    survives(content)
    survives(content, "group_vars/web.yml")


@BUDGET
@given(st.lists(st.text(max_size=12) | st.text(max_size=12).map(lambda text: f"k={text}"), max_size=3))
def test_any_option(pairs: list[str]) -> None:
    """Any text after -e sets variables or is refused."""
    with contextlib.suppress(DeclarationError):
        parse_extra(pairs)
