"""Settings of roles: the inventory's flat, prefixed variables as typed dataclasses, with everything strange refused.

The role `gunicorn` with a field `workers: int` reads the variable `gunicorn_workers`. A field whose type is another
role's settings is filled with those.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, get_type_hints

from carboy.errors import DeclarationError
from carboy.inventory.host import Host
from carboy.inventory.suggest import did_you_mean, misspelt
from carboy.inventory.typed import Duration, Mismatch, Size, convert, expected, shown

Schema = dict[str, tuple[Field[Any], Any]]
"""The fields of a role's settings that can be set, with their types."""

# Of each role once, for all hosts: to read one costs as much as to fill it.
_SCHEMAS: dict[type[Any], Schema] = {}

__all__ = ["Duration", "Size", "resolve"]

_FOREIGN = ("ansible_", "inventory_", "group_names")
"""How names begin that Ansible itself gives a meaning to."""


def resolve(roles: Mapping[str, type[Any]], host: Host, wanted: Iterable[str] = ()) -> dict[str, Any]:
    """The settings of the wanted roles (all by default) and those they need; one DeclarationError lists what is wrong.

    `roles` are all that there are: a variable of one that is not wanted is no mistake, one of none is.
    """
    run = _Resolution(roles, host)
    for role in wanted or roles:
        run.settings(role)
    problems = [*run.problems, *_strangers(roles, run.done, host)]
    if problems:
        raise _together(problems, host)
    return run.done


def _together(problems: list[DeclarationError], host: Host) -> DeclarationError:
    if len(problems) == 1:
        return problems[0]
    lines = [f"\n  {each.what} [{each.where}]{each.hint and f': {each.hint}'}" for each in problems]
    what = f"{len(problems)} settings are wrong{''.join(lines)}"
    return DeclarationError(what, where=f"host {host.name}", hint="correct each where it is written")


class _Resolution:
    """One pass over the roles of one host; problems are gathered, not raised."""

    def __init__(self, roles: Mapping[str, type[Any]], host: Host) -> None:
        self.problems: list[DeclarationError] = []
        self._roles = roles
        self._host = host
        self.done: dict[str, Any] = {}
        self._open: list[str] = []

    def settings(self, role: str) -> Any:
        """The role's settings, None if they have a problem."""
        if role in self._open:
            raise DeclarationError(f"roles need each other's settings: {' > '.join([*self._open, role])}")
        if role not in self.done:
            self._open.append(role)
            self.done[role] = self._built(role)
            self._open.pop()
        return self.done[role]

    def _built(self, role: str) -> Any:
        before = len(self.problems)
        given = dict(self._given(role))
        if len(self.problems) > before or any(given[name] is None for name in _needs(_schema(self._roles[role]))):
            return None
        settings = self._roles[role](**given)
        problems = settings.validate() if hasattr(settings, "validate") else ()
        self.problems += [
            DeclarationError(f"{role}_{name}: {problem}", where=self._where(role, name), hint="".join(hint))
            for name, problem, *hint in problems
        ]
        return settings

    def _given(self, role: str) -> Iterator[tuple[str, Any]]:
        for name, (field, kind) in _schema(self._roles[role]).items():
            try:
                if is_dataclass(kind) or self._is_set(role, name) or _required(field):
                    yield name, self._value(role, name, kind)
            except DeclarationError as problem:
                self.problems.append(problem)

    def _is_set(self, role: str, name: str) -> bool:
        return f"{role}_{name}" in self._host.variables

    def _value(self, role: str, name: str, kind: Any) -> Any:
        if is_dataclass(kind):
            return self.settings(self._owner(role, name, kind))
        if not self._is_set(role, name):
            raise self._missing(role, name, kind)
        return self._converted(role, name, kind)

    def _owner(self, role: str, name: str, kind: Any) -> str:
        # First where it must be, for a role is only imported when it is asked for.
        place: str = kind.__module__.rpartition(".")[2]
        for owner in (place, *self._roles):
            if self._roles.get(owner) is kind:
                return owner
        what = f"the role {role} needs {kind.__module__}.{kind.__qualname__}, the settings of a role that is not here"
        raise DeclarationError(what, where=self._where(role, name), hint="give the host that role too")

    def _converted(self, role: str, name: str, kind: Any) -> Any:
        variable = f"{role}_{name}"
        try:
            return self._host.read(variable, lambda value: convert(value, kind))
        except Mismatch as error:
            path = variable + error.path
            what = f"{path}: expected {error.expected}, got {shown(error.got, path)}"
            raise DeclarationError(what, where=self._where(role, name), hint=error.hint) from error

    def _missing(self, role: str, name: str, kind: Any) -> DeclarationError:
        hint = f"set {role}_{name} to {expected(kind)}"
        return DeclarationError(f"{role}_{name} is not set", where=self._where(role, name), hint=hint)

    def _where(self, role: str, name: str) -> str:
        origin = self._host.origins.get(f"{role}_{name}")
        return f"{f'{origin}, ' if origin else ''}setting {role}.{name}, host {self._host.name}"


def _schema(settings: type[Any]) -> Schema:
    if settings not in _SCHEMAS:
        hints = get_type_hints(settings)
        _SCHEMAS[settings] = {field.name: (field, hints[field.name]) for field in fields(settings) if field.init}
    return _SCHEMAS[settings]


def _required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _needs(schema: Schema) -> list[str]:
    return [name for name, (_, kind) in schema.items() if is_dataclass(kind)]


def _strangers(roles: Mapping[str, type[Any]], used: Iterable[str], host: Host) -> Iterator[DeclarationError]:
    """Variables that look like a role's setting and are none."""
    settings = {name for role in used for name in _variables(role, roles[role])}
    others = [name for name in host.variables if name not in settings and not name.startswith(_FOREIGN)]
    if not others:
        # Most often; and so roles that no host has need not be imported.
        return
    known = {role: _variables(role, kind) for role, kind in roles.items()}
    every = tuple(name for names in known.values() for name in names)
    for variable in others:
        if variable not in every:
            owner = max((role for role in known if variable.startswith(f"{role}_")), key=len, default=None)
            near = misspelt(variable, every)
            if owner or near:
                hint = f"did you mean {near!r}?" if near else did_you_mean(variable, known[owner or ""])
                yield DeclarationError(f"{variable} is no setting of a role", where=host.where(variable), hint=hint)


def _variables(role: str, settings: type[Any]) -> list[str]:
    schema = _schema(settings)
    needs = _needs(schema)
    return [f"{role}_{name}" for name in schema if name not in needs]
