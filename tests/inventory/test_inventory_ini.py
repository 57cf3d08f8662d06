"""Inventories in the INI form: every line that is not read as Ansible reads it is refused with its number."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carboy.declaration import declare
from carboy.errors import DeclarationError
from carboy.inventory import Inventory, load
from tests.inventory.oracle import Oracle
from tests.inventory.test_inventory_fuzz import BUDGET, survives

WORDS = (
    *("web", "db-[a:c]", "h:22", "[web]", "[web:vars]", "[web:children]", "[db]", "[all:vars]", "[x:children]", "x=1"),
    *(
        "k='a b'",
        "k=[1",
        "# c",
        "; d",
        "=",
        "{",
        '"',
        "\\",
        "{{ x }}",
        "[",
        "]",
        "\t",
        "\0",
        "\ufeff",
        "\u2028",
        "v={1}",
    ),
)


def read(tmp_path: Path, text: str) -> Inventory:
    """The inventory of a file named hosts."""
    (tmp_path / "hosts").write_text(text)
    return load([tmp_path / "hosts"])


def test_origins_name_section_and_line(tmp_path: Path) -> None:
    """A variable remembers the section and the line that it was written in."""
    host = read(tmp_path, "[web]\n# the one\nweb1 x=1\n[web:vars]\ny = 2\n").hosts["web1"]
    assert [str(host.origins[name]) for name in "xy"] == [
        f"{tmp_path}/hosts: [web] web1 x, line 3",
        f"{tmp_path}/hosts: [web:vars] y, line 5",
    ]


def test_literals_are_what_yaml_has_too(tmp_path: Path) -> None:
    """Tuples are lists, bytes and other oddities of Python's are text; references inside them are filled in."""
    text = "h a=1\n[all:vars]\nb = (1, '{{ a }}', [b'c', 2j])\nd = {'e': (...,)}\nf = yes\n"
    host = read(tmp_path, text).hosts["h"]
    assert [host.value(name) for name in "bdf"] == [[1, 1, ["c", "2j"]], {"e": ["..."]}, "yes"]


def test_types_of_settings(tmp_path: Path) -> None:
    """Where a literal is of another type than the setting, the error says how INI writes it, and that is taken."""
    wrong = "h\n[all:vars]\napp_wsgi = a:b\napp_development = true\napp_python = 3.11\n"
    with pytest.raises(DeclarationError) as caught:
        declare(read(tmp_path, wrong).hosts["h"])
    assert "write True or False in INI" in caught.value.what
    assert caught.value.what.endswith(": quote it")
    right = wrong.replace("true", "True").replace("3.11", "'3.11'").replace("h\n", "h app_name=\"'7'\"\n", 1)
    host = read(tmp_path, right).hosts["h"]
    assert [host.value(f"app_{name}") for name in ("development", "python", "name")] == [True, "3.11", "7"]


@pytest.mark.parametrize(
    ("text", "what", "line"),
    [
        ("h\n[we b]", "'[we b]' is no section", 2),
        ("h\n[web:host]", "a section is of hosts, children or vars, not 'host'", 2),
        ("h\n[web:vars]\nx=1", "the group 'web' has no section of its own", 2),
        ("h\n[web:children]\ndb", "the group 'db' has no section of its own", 3),
        ("[web:children]\ndb\n[db:vars]\nx=1", "the group 'db' has no section of its own", 2),
        ("[web:children]\na b", "expected the name of a group", 2),
        ("[web]\nh\n[web:vars]\nsecret", "expected name=value", 4),
        ("[web]\nh x = 1", "behind a host's name stand only name=value pairs", 2),
        ("[web]\nh x='1", "quotes do not match", 2),
        ("[web]\nh[3:1]", "host 'h[3:1]': the range ends before it begins", 2),
        ("[web]\nh:", "host 'h:': ", 2),
        ("[web]\n--- x=1", "host '---': ", 2),
        ("[web]\nh_:22", "host 'h_:22': a port cannot stand behind this name", 2),
        ("[web]\nh:70000", "host 'h:70000': a port is between 1 and 65535", 2),
        ("[web]\n'h i'", "'h i' is no name of a host or group", 2),
        ("[we{b}]\nh", "'we{b}' is no name of a host or group", 1),
        ("[web]\nh x='{1, 2}'", "x is a set, whose order is left to chance", 2),
        ("[web]\nh x='{(1,): 2}'", "x has a key that is neither text nor a number", 2),
        ("[web]\nh x='{[]: 2}'", "x is no value that can be read", 2),
        ("[web]\nh x=\"b'\\xff'\"", "x is no text in UTF-8", 2),
        (f"[web]\nh x=0x{'f' * 300}", "x is too large a number", 2),
        (f"[web]\nh x={'-' * 9000}1", "x is no value that can be read", 2),
        (f"[web]\nh x={'1+' * 20000}1", "x is no value that can be read", 2),
        ("[web]\nh x=\"'\\\\ud800'\"", "x is no text in UTF-8", 2),
        ("[web]\nh =1", "'' is no name of a variable", 2),
        ("[web:vars]\nansible_group_priority=high\n[web]\nh", "ansible_group_priority is a whole number", 2),
    ],
)
def test_refused(tmp_path: Path, text: str, what: str, line: int) -> None:
    """What is no line of an inventory is refused with its number, and never shown if it could be a secret."""
    with pytest.raises(DeclarationError) as caught:
        read(tmp_path, text)
    assert caught.value.what.startswith(what)
    assert caught.value.where.startswith(f"{tmp_path}/hosts")
    assert f"line {line}" in caught.value.where
    assert "secret" not in str(caught.value)


def test_namesakes(tmp_path: Path, oracle: Oracle) -> None:
    """A host that is also a group: Ansible gives the group what is said of the host, so that is refused."""
    namesakes = "[db]\ndb x=1\nother\n"
    with pytest.raises(DeclarationError, match="'db' is a host and a group") as caught:
        read(tmp_path, namesakes)
    assert oracle.listing([tmp_path / "hosts"])[1] == {"db": {"x": 1}, "other": {"x": 1}}
    assert caught.value.where.endswith("line 2")
    assert read(tmp_path, "[db]\ndb\nother\n").groups["db"] == ("db", "other")


@BUDGET
@given(st.lists(st.lists(st.sampled_from(WORDS) | st.text(string.printable, max_size=4), max_size=4), max_size=8))
def test_any_lines(lines: list[list[str]]) -> None:
    """Whatever stands on the lines of a file, the answer is an inventory or one DeclarationError."""
    survives("\n".join(map(" ".join, lines)).encode(), "hosts.ini")
