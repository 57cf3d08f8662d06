"""Variables of the inventory become typed settings of roles, or errors that say what to write instead."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carboy.errors import DeclarationError
from carboy.inventory import Host, Origin
from carboy.settings import Duration, Size, resolve

KINDS = {
    "str": str,
    "bool": bool,
    "int": int,
    "float": float,
    "path": Path,
    "duration": Duration,
    "size": Size,
    "literal": Literal["auto", 1, False],
    "optional": int | None,
    "tuple": tuple[str, ...],
    "dict": dict[str, str],
    "dict_int": dict[str, int],
    "nested": dict[str, tuple[int, ...]],
}


@dataclass(frozen=True)
class App:
    """Settings of a role that others need."""

    name: str
    port: int = 8000

    def validate(self) -> Iterator[tuple[str, str]]:
        """A port that nobody can listen on is a problem."""
        if not 1 <= self.port <= 65535:
            yield "port", "must be between 1 and 65535"


@dataclass(frozen=True)
class Gunicorn:
    """Settings with a default, and those of another role."""

    app: App
    workers: int = 2
    environment: dict[str, str] = field(default_factory=dict)


ROLES = {"gunicorn": Gunicorn, "app": App}


def host(**variables: Any) -> Host:
    """A host with these variables, all written in hosts.yml."""
    return Host("h", variables, {name: Origin(Path("hosts.yml"), f"web.vars.{name}") for name in variables})


def one(kind: Any, value: Any) -> Any:
    """The value of a single setting of that type."""
    role = make_dataclass("Role", [("field", kind)], frozen=True)
    return resolve({"role": role}, host(role_field=value))["role"].field


def refused(roles: dict[str, type[Any]], **variables: Any) -> DeclarationError:
    """The error that these variables lead to."""
    with pytest.raises(DeclarationError) as caught:
        resolve(roles, host(**variables))
    assert caught.value.exit_code == 3
    return caught.value


def test_prefixed_variables_fill_settings() -> None:
    """A variable fills the setting of its role, defaults fill the rest, and a role gets the settings it needs."""
    found = resolve(ROLES, host(app_name="shop", gunicorn_workers=4, ansible_port=22, http_proxy="x"))
    assert found == {"app": App("shop"), "gunicorn": Gunicorn(App("shop"), 4)}
    assert found["gunicorn"].app is found["app"]


@pytest.mark.parametrize(
    ("kind", "value", "result"),
    [
        ("str", "x", "x"),
        ("bool", True, True),
        ("int", 3, 3),
        ("float", 3, 3.0),
        ("float", 2.5, 2.5),
        ("path", "/srv/x", Path("/srv/x")),
        ("literal", "auto", "auto"),
        ("literal", 1, 1),
        ("literal", False, False),
        ("optional", None, None),
        ("optional", 3, 3),
        ("tuple", ["a", "b"], ("a", "b")),
        ("tuple", [], ()),
        ("dict", {"A": "x", "PORT": 80}, {"A": "x", "PORT": "80"}),
        ("dict_int", {"a": 1}, {"a": 1}),
        ("nested", {"a": [1, 2]}, {"a": (1, 2)}),
        *(
            ("duration", *pair)
            for pair in ((5, 5), (0.5, 0.5), ("5", 5), ("5s", 5), ("1.5m", 90), ("1h", 3600), ("250ms", 0.25))
        ),
        *(
            ("size", *pair)
            for pair in ((512, 512), ("512", 512), ("64K", 65536), ("512M", 512 << 20), ("1.5G", 3 << 29))
        ),
    ],
)
def test_types(kind: str, value: Any, result: Any) -> None:
    """Each type takes its own values and nothing is lost on the way."""
    found = one(KINDS[kind], value)
    assert found == result
    assert type(found) is type(result) or isinstance(found, (Duration, Size))


@pytest.mark.parametrize(
    ("kind", "value", "what"),
    [
        ("str", 5, "role_field: expected text, got the int 5"),
        ("str", None, "role_field: expected text, got nothing (null)"),
        ("bool", "yes", "role_field: expected yes or no, got the text 'yes'"),
        ("bool", 1, "expected yes or no, got the int 1"),
        ("int", True, "expected a whole number, got the boolean true"),
        ("int", "5", "expected a whole number, got the text '5'"),
        ("int", 5.0, "expected a whole number, got the float 5.0"),
        ("float", float("inf"), "expected a number, got the float inf"),
        ("float", 10**400, "expected a number"),
        ("path", "", "expected a path, got the text ''"),
        ("path", "a\0b", "expected a path"),
        ("duration", "5 minutes", "expected a duration such as 250ms, 30s, 2m or 1h, got the text '5 minutes'"),
        ("duration", -1, "expected a duration"),
        ("duration", float("nan"), "expected a duration"),
        ("duration", True, "expected a duration"),
        ("size", "1X", "expected a size such as 64K, 512M or 1G, got the text '1X'"),
        ("size", "0.5", "expected a size"),
        ("size", -1, "expected a size"),
        ("literal", "x", "expected one of 'auto', 1, False, got the text 'x'"),
        ("literal", True, "expected one of 'auto', 1, False, got the boolean true"),
        ("literal", 0, "expected one of 'auto', 1, False, got the int 0"),
        ("optional", "x", "expected a whole number or null, got the text 'x'"),
        ("tuple", "a", "expected a list, each text, got the text 'a'"),
        ("tuple", ["a", 1], "role_field[1]: expected text, got the int 1"),
        ("dict", ["a"], "expected a mapping to text, got a list"),
        ("dict", {"A": True}, "role_field.A: expected text, got the boolean true"),
        ("dict", {"VERSION": 3.10}, "role_field.VERSION: expected text, got the float 3.1"),
        ("dict", {1: "a"}, "expected text as a key, got the int 1"),
        ("nested", {"a": [1, "b"]}, "role_field.a[1]: expected a whole number, got the text 'b'"),
    ],
)
def test_wrong_types(kind: str, value: Any, what: str) -> None:
    """A value of another type is refused with what was expected, what was found, and where."""
    with pytest.raises(DeclarationError) as caught:
        one(KINDS[kind], value)
    assert what in caught.value.what
    assert caught.value.where == "hosts.yml: web.vars.role_field, setting role.field, host h"


def test_boolean_for_text_gets_a_hint() -> None:
    """YAML's bare yes and no in the place of text is answered with: quote it."""
    assert refused(ROLES, app_name="x", gunicorn_environment={"DEBUG": False}).hint == "quote it"


@pytest.mark.parametrize("variable", ["api_token", "db_password"])
def test_secrets_are_not_shown(variable: str) -> None:
    """The error for a setting that may be a secret does not print its value."""
    role = make_dataclass("Role", [(variable, int)], frozen=True)
    assert "hunter2" not in str(refused({"role": role}, **{f"role_{variable}": "hunter2"}))


def test_references_are_filled_in() -> None:
    """A setting may refer to another variable."""
    assert resolve(ROLES, host(app_name="{{ shop }}", shop="x"))["app"].name == "x"


def test_missing_setting() -> None:
    """A setting without a default that is not set is named, with what to write."""
    error = refused({"app": App})
    assert (error.what, error.hint) == ("app_name is not set", "set app_name to text")
    assert error.where == "setting app.name, host h"


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("gunicorn_wrkers", "did you mean 'gunicorn_workers'?"),
        ("gunicorn_zzzzzzz", "known: gunicorn_workers, gunicorn_environment"),
        ("gunicorn_app", "known: gunicorn_workers, gunicorn_environment"),
        ("guncorn_workers", "did you mean 'gunicorn_workers'?"),
        ("app_prt", "did you mean 'app_port'?"),
    ],
)
def test_unknown_settings(variable: str, hint: str) -> None:
    """A variable with a role's prefix that is no setting, or nearly the name of one, is refused with a suggestion."""
    error = refused(ROLES, app_name="x", **{variable: 1})
    assert (error.what, error.hint) == (f"{variable} is no setting of a role", hint)
    assert error.where.startswith(f"hosts.yml: web.vars.{variable}")


def test_other_variables_are_somebody_elses() -> None:
    """Variables that belong to no role are ignored, whatever is in them."""
    assert resolve(ROLES, host(app_name="x", api_port=1, application="{{ lookup('x') }}", ansible_app_name=2))


def test_names_of_ansible_belong_to_no_role() -> None:
    """A role whose name begins like Ansible's own variables does not make those unknown settings."""
    variables = {"group_name": "x", "group_names": ["web"], "inventory_name": "x", "inventory_dir": "/x"}
    assert resolve({"group": App, "inventory": App}, host(**variables))["group"].name == "x"


def test_the_longest_role_name_owns_a_variable() -> None:
    """Where one role's name begins another's, a variable belongs to the longer one."""
    roles = {"app": App, "app_socket": make_dataclass("Socket", [("mode", str, "0660")], frozen=True)}
    assert resolve(roles, host(app_name="x", app_socket_mode="0600"))["app_socket"].mode == "0600"
    assert refused(roles, app_name="x", app_socket_moode="0600").hint == "did you mean 'app_socket_mode'?"


def test_validation() -> None:
    """What a role's own check finds is reported where the value was written."""
    error = refused(ROLES, app_name="x", app_port=0)
    assert error.what == "app_port: must be between 1 and 65535"
    assert error.where == "hosts.yml: web.vars.app_port, setting app.port, host h"


def test_all_problems_at_once() -> None:
    """Several problems come in one error, each with its place and hint, and each only once."""
    error = refused(ROLES, app_port="x", gunicorn_workers=True, app_nam=1)
    assert error.what.startswith("4 settings are wrong")
    for part in ("app_name is not set", "app_port: expected", "gunicorn_workers: expected", "app_nam is no setting"):
        assert error.what.count(part) == 1
    assert "[hosts.yml: web.vars.app_port, setting app.port, host h]" in error.what


def test_a_needed_role_that_is_missing() -> None:
    """A role that needs the settings of a role that is not there says so."""
    assert f"needs {App.__module__}.App" in refused({"gunicorn": Gunicorn}).what


def test_roles_that_need_each_other() -> None:
    """A circle of roles is an error, not a recursion."""
    Loop.__annotations__["other"] = Back
    assert "roles need each other's settings: loop > back > loop" in refused({"loop": Loop, "back": Back}).what


@dataclass(frozen=True)
class Back:
    """Half of a circle."""

    other: Loop


@dataclass(frozen=True)
class Loop:
    """The other half."""

    other: Back


def test_unsupported_type() -> None:
    """A role whose setting has a type that no inventory can write is refused."""
    with pytest.raises(DeclarationError, match="settings cannot be of type"):
        one(set, 1)


leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6), st.dates(), st.binary(max_size=3),
    st.sampled_from(["5s", "1G", "{{ x }}", "{{ role_str }}", "auto", 10**4000]),
)  # fmt: skip
values: Any = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(leaves, inner, max_size=3)
)


@settings(max_examples=400, deadline=None, database=None)
@given(st.dictionaries(st.sampled_from([f"role_{name}" for name in KINDS]) | st.text(max_size=6), values, max_size=5))
def test_any_value_for_any_setting(variables: dict[str, Any]) -> None:
    """Whatever is written for a setting, the answer is settings or a DeclarationError that can be printed."""
    role = make_dataclass("Role", [(name, kind, None) for name, kind in KINDS.items()], frozen=True)
    origins = {name: Origin(None, name) for name in variables}
    try:
        assert isinstance(resolve({"role": role}, Host("h", variables, origins))["role"], role)
    except DeclarationError as error:
        assert str(error)
