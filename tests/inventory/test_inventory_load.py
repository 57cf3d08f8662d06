"""Sources are read, checked and merged; every variable remembers where it was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from carboy.errors import DeclarationError
from carboy.inventory import Origin, load
from tests.inventory.conftest import Write

LAYERS = """
    all:
      vars: {a: all, b: all, c: all, d: all, e: all, f: all, g: all}
    parent:
      vars: {b: parent, c: parent, d: parent, e: parent, f: parent, g: parent}
      children:
        child:
          vars: {c: child, d: child, e: child, f: child, g: child}
          hosts:
            h: {f: host, g: host}
    """


def test_precedence(inventory: Write) -> None:
    """all < parent < child < group_vars/all < group_vars of groups < host < host_vars < extra."""
    files = {
        "group_vars/all.yml": "{d: gall, e: gall, f: gall}",
        "group_vars/child": "{e: gchild}",
        "host_vars/h.json": '{"g": "hv"}',
    }
    host = inventory(LAYERS, files, x="extra").hosts["h"]
    assert [host.value(name) for name in "abcdefgx"] == [
        "all",
        "parent",
        "child",
        "gall",
        "gchild",
        "host",
        "hv",
        "extra",
    ]


def test_extra_variables_win(inventory: Write) -> None:
    """An extra variable beats even host_vars, and its origin is the option."""
    host = inventory(LAYERS, {"host_vars/h.yml": "g: hv"}, g="extra").hosts["h"]
    assert (host.value("g"), str(host.origins["g"])) == ("extra", "-e g")


def test_origins_name_file_and_key_path(inventory: Write, tmp_path: Path) -> None:
    """The origin of a variable is the file and the dotted path of the value that won."""
    host = inventory(LAYERS, {"group_vars/all/10-x.yml": "z: 1"}).hosts["h"]
    assert host.origins["f"] == Origin(tmp_path / "hosts.yml", "parent.children.child.hosts.h.f")
    assert host.origins["b"].key_path == "parent.vars.b"
    assert str(host.origins["z"]) == f"{tmp_path}/group_vars/all/10-x.yml: z"


def test_priority_beats_the_alphabet(inventory: Write) -> None:
    """Of groups equally deep the later in the alphabet wins, unless ansible_group_priority says otherwise."""
    text = "{{b: {{vars: {{x: b{}}}, hosts: h}}, c: {{vars: {{x: c}}, hosts: h}}}}"
    assert inventory(text.format("")).hosts["h"].value("x") == "c"
    assert inventory(text.format(", ansible_group_priority: 5")).hosts["h"].value("x") == "b"


def test_mappings_replace_each_other(inventory: Write) -> None:
    """A mapping written closer to the host replaces the whole mapping further away."""
    host = inventory("{all: {vars: {m: {a: 1, b: 1}}, hosts: {h: {m: {a: 2}}}}}").hosts["h"]
    assert host.value("m") == {"a": 2}


def test_groups(inventory: Write) -> None:
    """A group has its own hosts, then those of its descendants, and who is in no group is ungrouped."""
    found = inventory("{a: {children: {b: {hosts: {h1: }}}, hosts: {h2: }}, all: {hosts: {h3: }}}")
    assert found.groups == {"all": ("h3", "h2", "h1"), "ungrouped": ("h3",), "a": ("h2", "h1"), "b": ("h1",)}
    assert found.hosts["h1"].groups == ("a", "b")


def test_folder_of_several_files(tmp_path: Path) -> None:
    """A folder's inventory files are merged by name; hidden files, backups and notes are passed over."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "group_vars").mkdir()
    texts = {
        "b.yml": "{web: {vars: {x: b}}}",
        "a.yml": "{web: {hosts: h, vars: {x: a}}}",
        "sub/c.yaml": "{web: {hosts: i}}",
    }
    ignored = {".x.yml": "[", "README.md": "[", "a.yml~": "[", "group_vars/web.yml": "y: 1", "empty.yml": ""}
    for name, text in (texts | ignored).items():
        (tmp_path / name).write_text(text)
    found = load([tmp_path])
    assert found.groups["web"] == ("h", "i")
    assert (found.hosts["i"].value("x"), found.hosts["i"].value("y")) == ("b", 1)


def test_later_sources_win(tmp_path: Path) -> None:
    """What a later source, or the group_vars beside it, says about a host replaces what an earlier one said."""
    for name in ("one", "two"):
        (tmp_path / name / "group_vars").mkdir(parents=True)
        (tmp_path / name / "hosts.yml").write_text(f"all: {{hosts: {{h: {{x: {name}, {name}: 1}}}}}}")
        (tmp_path / name / "group_vars" / "all.yml").write_text(f"y: {name}")
    one, two = tmp_path / "one", tmp_path / "two" / "hosts.yml"
    host = load([one, two]).hosts["h"]
    assert [host.value(name) for name in ("x", "y", "one", "two")] == ["two", "two", 1, 1]
    assert load([one, two, one]).hosts["h"].value("y") == "one"


@pytest.mark.parametrize(
    ("text", "what", "where"),
    [
        ("", "the inventory has no hosts", ""),
        ("all:", "the inventory has no hosts", ""),
        ("- web", "expected a mapping, got a list", ""),
        ("web: {hosts: [h]}", "expected a mapping, got a list", ": web.hosts"),
        ("web: 5", "expected a mapping, got int", ": web"),
        ("web: {hosts: {h: 5}}", "expected a mapping, got int", ": web.hosts.h"),
        ("web: {vars: x}", "expected a mapping, got text", ": web.vars"),
        ("web: {host: {h: }}", "unknown key 'host' in a group", ": web.host"),
        ("web: {hosts: {10: }}", "10 is no name of a host", ": web.hosts.10"),
        ("web: {hosts: {'a b': }}", "'a b' is no name of a host", ": web.hosts.a b"),
        ("web: {hosts: {'h[1:': }}", "host 'h[1:': a bracket is not closed", ": web.hosts.h[1:"),
        ("web: {hosts: {h: {1: x}}}", "1 is no name of a variable", ": web.hosts.h"),
        ("a: {children: {b: {children: {a: }}}}\nc: {hosts: h}", "a group is its own descendant", ": a.children.b"),
        ("a: {children: a}\nc: {hosts: h}", "a group is its own descendant: a > a", ": a.children.a"),
        ("a: {children: all}\nc: {hosts: h}", "a group is its own descendant", ": a.children.all"),
        (
            "a: {vars: {ansible_group_priority: high}}",
            "ansible_group_priority is a whole number",
            "a.vars.ansible_group_priority",
        ),
    ],
)
def test_wrong_shapes(inventory: Write, tmp_path: Path, text: str, what: str, where: str) -> None:
    """What is no inventory is refused with the file and the key path."""
    with pytest.raises(DeclarationError) as caught:
        inventory(text)
    assert what in caught.value.what
    assert caught.value.where.startswith(f"{tmp_path}/hosts.yml")
    assert where in caught.value.where
    assert caught.value.exit_code == 3


def test_misspelt_section_gets_a_suggestion(inventory: Write) -> None:
    """An unknown key in a group is answered with the one that was meant."""
    with pytest.raises(DeclarationError) as caught:
        inventory("web: {host: {h: }}")
    assert caught.value.hint == "did you mean 'hosts'?"


def test_missing_source(tmp_path: Path) -> None:
    """A source that does not exist is named."""
    with pytest.raises(DeclarationError, match="does not exist") as caught:
        load([tmp_path / "nowhere.yml"])
    assert caught.value.where == str(tmp_path / "nowhere.yml")


def test_variable_file_that_is_no_mapping(inventory: Write, tmp_path: Path) -> None:
    """A file of group_vars that holds a list is refused by name."""
    with pytest.raises(DeclarationError, match="got a list") as caught:
        inventory("web: {hosts: h}", {"group_vars/web.yml": "- 1"}).select(["h"])
    assert caught.value.where == f"{tmp_path}/group_vars/web.yml"
