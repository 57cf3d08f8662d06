"""Reads one inventory file in Ansible's YAML form into what is declared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from carboy.errors import DeclarationError
from carboy.inventory.declared import Declared, Group
from carboy.inventory.document import read
from carboy.inventory.origin import Layer, Origin, Written
from carboy.inventory.ranges import expand
from carboy.inventory.suggest import did_you_mean

SECTIONS = ("hosts", "children", "vars")


def read_source(file: Path, declared: Declared) -> None:
    """Add what the file declares; DeclarationError names the file and the key path of what is wrong."""
    reader = _Reader(file, declared)
    for name, body in reader.mapping(read(file), "").items():
        reader.group(name, body, str(name))


def variables(file: Path | None, data: Any, path: str = "") -> Layer:
    """The variables of a mapping, each with its origin."""
    prefix = f"{path}." if path else ""
    return {
        _variable_name(name, Origin(file, path)): Written(value, Origin(file, f"{prefix}{name}"))
        for name, value in mapping_of(data, Origin(file, path)).items()
    }


def mapping_of(data: Any, origin: Origin) -> Mapping[Any, Any]:
    """The data if it is a mapping, nothing if it is null, else a DeclarationError."""
    if data is None:
        return {}
    if not isinstance(data, dict):
        # Never the text itself: it may be a secret that lacks its name.
        kind = "a list" if isinstance(data, list) else "text" if isinstance(data, str) else type(data).__name__
        where = str(origin).rstrip(": ")
        raise DeclarationError(
            f"expected a mapping, got {kind}", where=where, hint="write `name:` lines, one for each entry"
        )
    return data


def _variable_name(name: Any, origin: Origin) -> str:
    if not isinstance(name, str) or not name.isprintable() or not name:
        raise DeclarationError(f"{name!r} is no name of a variable", where=str(origin).rstrip(": "), hint="quote it")
    return name


class _Reader:
    def __init__(self, file: Path, declared: Declared) -> None:
        self._file = file
        self._declared = declared

    def mapping(self, data: Any, path: str) -> Mapping[Any, Any]:
        # Ansible lets a single name stand for a mapping with that one key.
        return mapping_of({data: None} if path and isinstance(data, str) else data, Origin(self._file, path))

    def group(self, name: Any, body: Any, path: str) -> None:
        group = self._declared.group(self._name(name, path))
        for section, content in mapping_of(body, Origin(self._file, path)).items():
            self._section(group, section, content, f"{path}.{section}")

    def _section(self, group: Group, section: Any, content: Any, path: str) -> None:
        if section == "vars":
            self._variables(group, content, path)
        elif section == "children":
            self._children(group, content, path)
        elif section == "hosts":
            self._hosts(group, content, path)
        else:
            what = f"unknown key {section!r} in a group: only hosts, children and vars are allowed"
            raise DeclarationError(what, where=f"{self._file}: {path}", hint=did_you_mean(str(section), SECTIONS))

    def _variables(self, group: Group, content: Any, path: str) -> None:
        given = variables(self._file, content, path)
        priority = given.pop("ansible_group_priority", None)
        group.variables |= given
        if priority is not None:
            group.priority = _number(priority)

    def _children(self, group: Group, content: Any, path: str) -> None:
        for name, body in self.mapping(content, path).items():
            self.group(name, body, f"{path}.{name}")
            group.children[name] = Origin(self._file, f"{path}.{name}")

    def _hosts(self, group: Group, content: Any, path: str) -> None:
        for pattern, body in self.mapping(content, path).items():
            key_path = f"{path}.{pattern}"
            names, port = self._expanded(self._name(pattern, key_path), key_path)
            for name in names:
                layer = self._declared.host(name, group, Origin(self._file, key_path), port)
                layer |= variables(self._file, body, key_path)

    def _expanded(self, pattern: str, path: str) -> tuple[list[str], int | None]:
        try:
            return expand(pattern)
        except ValueError as error:
            raise DeclarationError(f"host {pattern!r}: {error}", where=f"{self._file}: {path}") from error

    def _name(self, name: Any, path: str) -> str:
        if isinstance(name, str) and name.isprintable() and name and not set(name) & set(" ,"):
            return name
        what = f"{name!r} is no name of a host or group"
        raise DeclarationError(
            what,
            where=f"{self._file}: {path}",
            hint="use text without spaces or commas, quoted if it looks like a number",
        )


def _number(written: Written) -> int:
    try:
        return int(written.value)
    except (TypeError, ValueError, OverflowError) as error:
        raise DeclarationError("ansible_group_priority is a whole number", where=str(written.origin)) from error
