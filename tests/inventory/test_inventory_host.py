"""A host's connection settings and references are read from its variables, or refused with their origin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from carboy.errors import DeclarationError
from carboy.inventory import Host, Origin, parse_extra
from carboy.inventory.document import Unsafe, Vaulted


def host(**variables: Any) -> Host:
    """A host with these variables, all written in hosts.yml."""
    origins = {name: Origin(Path("hosts.yml"), f"web.hosts.h.{name}") for name in variables}
    return Host("h", variables, origins, ("web",))


def test_defaults() -> None:
    """Nothing declared: the host's name, sudo and python3; all else is left to ssh's configuration."""
    bare = host()
    bare.check()
    assert (bare.address, bare.port, bare.user, bare.become) == ("h", None, None, True)
    assert (bare.key_file, bare.password, bare.become_password) == (None, None, None)
    assert (bare.python, bare.connect_timeout) == ("python3", None)


@pytest.mark.parametrize(
    ("variable", "value", "name", "result"),
    [
        ("ansible_host", "10.0.0.1", "address", "10.0.0.1"),
        ("ansible_ssh_host", "10.0.0.1", "address", "10.0.0.1"),
        ("ansible_port", 2222, "port", 2222),
        ("ansible_port", "2222", "port", 2222),
        ("ansible_user", "deploy", "user", "deploy"),
        ("ansible_ssh_private_key_file", "~/.ssh/id", "key_file", Path.home() / ".ssh/id"),
        ("ansible_private_key_file", "keys/id", "key_file", Path("keys/id")),
        ("ansible_ssh_pass", "pw", "password", "pw"),
        ("ansible_become", "no", "become", False),
        ("ansible_become", False, "become", False),
        ("ansible_become_pass", "pw", "become_password", "pw"),
        ("ansible_python_interpreter", "/usr/bin/python3.11", "python", "/usr/bin/python3.11"),
        ("ansible_python_interpreter", "auto_silent", "python", "python3"),
        ("ansible_timeout", 3, "connect_timeout", 3),
    ],
)
def test_declared(variable: str, value: Any, name: str, result: Any) -> None:
    """Each of Ansible's variables sets the property it stands for."""
    assert getattr(host(**{variable: value}), name) == result


def test_the_longer_name_wins() -> None:
    """Where a setting is given by two of its names, the one that Ansible reads last counts, unless it is null."""
    assert host(ansible_host="a", ansible_ssh_host="b").address == "b"
    assert host(ansible_host="a", ansible_ssh_host=None).address == "a"


@pytest.mark.parametrize(
    ("variable", "value", "what"),
    [
        ("ansible_host", 10, "ansible_host must be text"),
        ("ansible_host", "a\nb", "ansible_host must be one line"),
        ("ansible_port", "ssh", "ansible_port must be a whole number"),
        ("ansible_port", True, "ansible_port must be a whole number"),
        ("ansible_port", 0, "ansible_port must be between 1 and 65535, not 0"),
        ("ansible_port", 65536, "ansible_port must be between 1 and 65535"),
        ("ansible_user", ["a"], "ansible_user must be text"),
        ("ansible_become", "perhaps", "ansible_become must be yes or no"),
        ("ansible_become", 2, "ansible_become must be yes or no"),
        ("ansible_timeout", 0, "ansible_timeout must be at least 1 second"),
        ("ansible_private_key_file", "~nobody_of_this_name/id", "starts at the home of a user who has none"),
        ("ansible_connection", "docker", "ansible_connection 'docker' is not supported"),
        ("ansible_become_user", "app", "ansible_become_user 'app' is not supported"),
        ("ansible_become_method", "su", "ansible_become_method 'su' is not supported"),
    ],
)
def test_refused(variable: str, value: Any, what: str) -> None:
    """A connection variable that is wrong or not supported is refused with its file and key path."""
    with pytest.raises(DeclarationError) as caught:
        host(**{variable: value}).check()
    assert what in caught.value.what
    assert caught.value.where == f"hosts.yml: web.hosts.h.{variable} (host h)"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ port }}", 80),
        ("{{port}}", 80),
        ("http://{{ name }}:{{ port }}/", "http://x:80/"),
        ("{{ chained }}", 80),
        (["{{ name }}", {"k": "{{ port }}"}], ["x", {"k": 80}]),
        (Unsafe("{{ name }}"), "{{ name }}"),
        ("{ not jinja }", "{ not jinja }"),
    ],
)
def test_references(text: Any, value: Any) -> None:
    """A plain reference has the value it refers to, wherever it stands; inside a text it is filled in."""
    assert host(port=80, name="x", chained="{{ port }}", read=text).value("read") == value


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("{{ name | upper }}", "this Jinja is not understood"),
        ("{% if x %}{% endif %}", "this Jinja is not understood"),
        ("{{ a.b }}", "this Jinja is not understood"),
        ("{{ nam }}", "there is no variable 'nam'"),
        ("{{ read }}", "a variable refers to itself: read > read"),
        ("{{ loop }}", "a variable refers to itself: read > loop > read"),
        ("x{{ some }}", "'some' is no text or number"),
        (Vaulted("3031"), "no text of Ansible Vault"),
        ([Vaulted("3031")], "no text of Ansible Vault"),
    ],
)
def test_unresolvable(value: Any, what: str) -> None:
    """Anything beyond plain references is refused when it is read, with where it was written."""
    with pytest.raises(DeclarationError) as caught:
        host(name="x", some=[1], loop="{{ read }}", read=value).value("read")
    assert what in caught.value.what
    assert caught.value.where.startswith("hosts.yml: web.hosts.h.")


def test_unread_variables_do_not_fail() -> None:
    """Jinja and vaulted values that Carboy never reads are somebody else's."""
    someones = host(a="{{ lookup('env', 'X') }}", b=Vaulted("3031"))
    someones.check()
    assert someones.variables["a"] == "{{ lookup('env', 'X') }}"


def test_reference_bombs_are_refused() -> None:
    """References that multiply or chain without end are an error, not a hang or a crash."""
    doubling = {f"v{n}": f"{{{{ v{n + 1} }}}}" * 2 for n in range(60)}
    with pytest.raises(DeclarationError, match="grows beyond"):
        host(**doubling, v60="x").value("v0")
    chain = {f"v{n}": f"{{{{ v{n + 1} }}}}" for n in range(5000)}
    with pytest.raises(DeclarationError, match="nested too deeply"):
        host(**chain, v5000=1).value("v0")


@pytest.mark.parametrize("typed", ["123", "1.50", "yes", "0644", "2001-01-02"])
def test_what_was_typed_may_be_text(typed: str) -> None:
    """Where text is wanted, a variable of the command line is the text that was typed, whatever YAML makes of it."""
    given = parse_extra([f"ansible_password={typed}"])["ansible_password"]
    assert Host("h", {"ansible_password": given.value}, {"ansible_password": given.origin}).password == typed


def test_what_was_typed_is_a_number_where_one_is_wanted() -> None:
    """YAML's own reading comes first: 1_0 is ten."""
    given = parse_extra(["ansible_timeout=1_0"])["ansible_timeout"]
    assert Host("h", {"ansible_timeout": given.value}, {"ansible_timeout": given.origin}).connect_timeout == 10


@pytest.mark.parametrize("name", ["ansible_private_key_file", "ansible_ssh_private_key_file"])
def test_a_key_file_that_is_not_there(name: str, tmp_path: Path) -> None:
    """A declared key is looked for before any host is contacted."""
    key = tmp_path / "id"
    declared = host(**{name: str(key)})
    with pytest.raises(DeclarationError, match=f"{name} names a file that is not there: {key}") as caught:
        declared.check()
    assert caught.value.where == f"hosts.yml: web.hosts.h.{name} (host h)"
    key.touch()
    declared.check()


def test_repr_keeps_secrets() -> None:
    """A host that is printed shows none of its variables."""
    assert "hunter2" not in repr(host(ansible_password="hunter2"))
