"""Reads one inventory file in Ansible's YAML form into what is declared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from carboy.errors import DeclarationError
from carboy.inventory.declared import Declared, Group
from carboy.inventory.names import group_name, host_names, variable_name
from carboy.inventory.origin import Layer, Origin, Written
from carboy.inventory.suggest import did_you_mean

T = TypeVar("T")

SECTIONS = ("hosts", "children", "vars")


def read_yaml(file: Path, data: Any, declared: Declared) -> None:
    """Add what the file's data declares; DeclarationError names the file and the key path of what is wrong."""
    reader = _Reader(file, declared)
    for name, body in reader.mapping(data, "").items():
        reader.group(name, body, str(name))


def variables(file: Path | None, data: Any, path: str = "") -> Layer:
    """The variables of a mapping, each with its origin."""
    prefix = f"{path}." if path else ""
    return {
        variable_name(name, Origin(file, path)): Written(value, Origin(file, f"{prefix}{name}"))
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


class _Reader:
    def __init__(self, file: Path, declared: Declared) -> None:
        self._file = file
        self._declared = declared

    def mapping(self, data: Any, path: str) -> Mapping[Any, Any]:
        # Ansible lets a single name stand for a mapping with that one key.
        return mapping_of({data: None} if path and isinstance(data, str) else data, Origin(self._file, path))

    def group(self, name: Any, body: Any, path: str) -> None:
        group = self._declared.group(self._valid(group_name, name, path))
        for section, content in mapping_of(body, Origin(self._file, path)).items():
            self._section(group, section, content, f"{path}.{section}")

    def _section(self, group: Group, section: Any, content: Any, path: str) -> None:
        if section == "vars":
            group.add(variables(self._file, content, path))
        elif section == "children":
            self._children(group, content, path)
        elif section == "hosts":
            self._hosts(group, content, path)
        else:
            what = f"unknown key {section!r} in a group: only hosts, children and vars are allowed"
            raise DeclarationError(what, where=f"{self._file}: {path}", hint=did_you_mean(str(section), SECTIONS))

    def _children(self, group: Group, content: Any, path: str) -> None:
        for name, body in self.mapping(content, path).items():
            self.group(name, body, f"{path}.{name}")
            group.children[name] = Origin(self._file, f"{path}.{name}")

    def _hosts(self, group: Group, content: Any, path: str) -> None:
        for pattern, body in self.mapping(content, path).items():
            key_path = f"{path}.{pattern}"
            names, port = self._valid(host_names, pattern, key_path)
            layer = variables(self._file, body, key_path)
            for name in names:
                self._declared.host(name, group, Origin(self._file, key_path), port).update(layer)

    def _valid(self, check: Callable[[Any], T], name: Any, path: str) -> T:
        try:
            return check(name)
        except ValueError as error:
            raise DeclarationError(str(error), where=f"{self._file}: {path}") from error
