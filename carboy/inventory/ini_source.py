"""Reads one inventory file in Ansible's INI form into what is declared."""

from __future__ import annotations

import ast
import re
import shlex
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from carboy.errors import DeclarationError
from carboy.inventory.declared import Declared
from carboy.inventory.names import group_name, host_names, variable_name
from carboy.inventory.origin import Layer, Origin, Written
from carboy.inventory.sealed import Secret, hidden
from carboy.inventory.suggest import did_you_mean

KINDS = ("hosts", "children", "vars")

_SECTION = re.compile(r"\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?")
_CHILD = re.compile(r"([^:\]\s]+)\s*(?:#.*)?")
_KEYS = (str, int, float, bool, type(None))


def read_ini(file: Path, text: str, declared: Declared) -> None:
    """Add what the text declares; DeclarationError names the file and the line of what is wrong."""
    reader = _Reader(file, declared, secret=isinstance(text, Secret))
    with warnings.catch_warnings():
        # Python has opinions on some literals, which are no business of who wrote them as values.
        warnings.simplefilter("ignore", SyntaxWarning)
        for number, line in enumerate(text.splitlines(), 1):
            reader.line(number, line.strip())
    reader.finish()


class _Reader:
    def __init__(self, file: Path, declared: Declared, *, secret: bool) -> None:
        self._file = file
        self._secret = secret
        self._declared = declared
        self._number = 0
        self._section = "[ungrouped]"
        self._group = "ungrouped"
        self._kind = "hosts"
        self._owed: dict[str, int] = {}
        self._waiting: dict[str, dict[str, Origin]] = {}

    def line(self, number: int, line: str) -> None:
        """Take in the next line, without the spaces around it."""
        self._number = number
        if not line or line[0] in "#;":
            return
        if match := _SECTION.fullmatch(line):
            self._begin(match[1], match[2] or "hosts", line)
        elif line[0] == "[" and line[-1] == "]":
            self._refuse(f"{line!r} is no section", "write [group], [group:vars] or [group:children], without spaces")
        else:
            {"hosts": self._host, "vars": self._variable, "children": self._child}[self._kind](line)

    def finish(self) -> None:
        """Raise DeclarationError for a group that is only spoken of: Ansible takes it for a misspelling too."""
        for name, number in self._owed.items():
            self._number = number
            known = [group for group in self._declared.groups if group not in self._owed]
            self._refuse(
                f"the group {name!r} has no section of its own",
                did_you_mean(name, known) if name not in known else f"add [{name}]",
            )

    def _begin(self, name: str, kind: str, line: str) -> None:
        if kind not in KINDS:
            self._refuse(f"a section is of hosts, children or vars, not {kind!r}", did_you_mean(kind, KINDS))
        self._group, self._kind, self._section = self._checked(name), kind, line
        new = name not in self._declared.groups
        self._declared.group(name)
        if kind == "vars":
            # Variables alone declare no group; unless it is declared elsewhere, the name is owed a section.
            if new:
                self._owed.setdefault(name, self._number)
        elif name in self._owed:
            del self._owed[name]
            for parent, origin in self._waiting.pop(name, {}).items():
                self._declared.groups[parent].children[name] = origin

    def _child(self, line: str) -> None:
        match = _CHILD.fullmatch(line)
        if not match:
            self._refuse("expected the name of a group, alone on its line")
        name = self._checked(match[1])
        if name in self._declared.groups:
            self._declared.groups[self._group].children[name] = self._origin(name)
            return
        self._owed.setdefault(name, self._number)
        self._waiting.setdefault(name, {})[self._group] = self._origin(name)

    def _variable(self, line: str) -> None:
        # The line is not shown: it may be a secret that lacks its name.
        name, equals, value = line.partition("=")
        if not equals:
            self._refuse("expected name=value", f"under {self._section} stand variables; hosts stand under a section")
        self._declared.groups[self._group].add(self._layer([(name.strip(), value.strip())]))

    def _host(self, line: str) -> None:
        try:
            pattern, *assignments = shlex.split(line, comments=True)
        except ValueError as error:
            self._refuse(f"quotes do not match: {str(error).lower()}", "close the quote on the same line")
        layer = self._layer(self._assignments(assignments), f"{pattern} ")
        origin = self._origin(pattern)
        try:
            names, port = host_names(pattern)
        except ValueError as error:
            self._refuse(str(error))
        if pattern.endswith(":") or pattern == "---":
            self._refuse(f"host {pattern!r}: this looks like YAML, and the file as a whole does not", "write one form")
        for name in names:
            self._declared.host(name, self._declared.groups[self._group], origin, port).update(layer)

    def _assignments(self, words: list[str]) -> Iterator[tuple[str, str]]:
        for word in words:
            name, equals, value = word.partition("=")
            if not equals:
                self._refuse("behind a host's name stand only name=value pairs", "quote a value that has spaces")
            yield name, value

    def _layer(self, assignments: Any, prefix: str = "") -> Layer:
        layer: Layer = {}
        for name, text in assignments:
            origin = self._origin(f"{prefix}{name}")
            value = self._value(text, name)
            layer[variable_name(name, origin)] = Written(hidden(value) if self._secret else value, origin)
        return layer

    def _value(self, text: str, name: str) -> Any:
        try:
            return _plain(ast.literal_eval(text))
        except _Unusable as error:
            self._refuse(f"{name} {error}")
        except (ValueError, SyntaxError):
            return text
        except (TypeError, MemoryError, RecursionError):
            self._refuse(f"{name} is no value that can be read", "write it in YAML, in group_vars or host_vars")

    def _checked(self, name: str) -> str:
        try:
            return group_name(name)
        except ValueError as error:
            self._refuse(str(error))

    def _origin(self, name: str) -> Origin:
        return Origin(self._file, f"{self._section} {name}, line {self._number}")

    def _refuse(self, what: str, hint: str = "") -> NoReturn:
        raise DeclarationError(what, where=f"{self._file}, line {self._number}", hint=hint)


class _Unusable(Exception):
    """A literal of Python's that is no value of a variable."""


def _plain(value: Any) -> Any:
    """A literal of Python's as what YAML has too, in Ansible's way."""
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        if not all(isinstance(key, _KEYS) for key in value):
            raise _Unusable("has a key that is neither text nor a number")
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, set):
        raise _Unusable("is a set, whose order is left to chance; write a list in brackets")
    if isinstance(value, int) and value.bit_length() > 1024:
        raise _Unusable("is too large a number")
    return _text(value) if isinstance(value, (str, bytes, complex, type(...))) else value


def _text(value: Any) -> str:
    try:
        if isinstance(value, bytes):
            return value.decode()
        text = "..." if value is ... else str(value)
        text.encode()
    except UnicodeError:
        raise _Unusable("is no text in UTF-8") from None
    return text
