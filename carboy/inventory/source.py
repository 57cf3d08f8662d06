"""The sources of an inventory: files in whichever form Ansible would take them for, folders of them, lists of hosts."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from carboy.errors import DeclarationError
from carboy.inventory.declared import Declared
from carboy.inventory.document import parse, text_of
from carboy.inventory.names import host_names
from carboy.inventory.origin import Origin
from carboy.inventory.yaml_source import mapping_of, read_yaml

_IGNORED = ("host_vars", "group_vars", "vars_plugins")
_IGNORED_ENDS = ("~", ".pyc", ".pyo", ".swp", ".bak", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry")
_YAML = ("", ".yml", ".yaml", ".json")
_PROGRAM = (b"#!", b"\x7fE")
_LOOKS_LIKE_INI = r"(?m)^\[[^\]\"']+\]|^[^:{]*="
_EXPORT = "have Ansible write down what it finds: ansible-inventory -i {} --list --export --yaml > hosts.yml"


def is_host_list(source: Path) -> bool:
    """Whether the source is no file but hosts themselves, such as `web1,` or `web1,web2`."""
    return "," in str(source) and not source.exists()


def read_source(source: Path, declared: Declared) -> None:
    """Add what a file, a folder or a list of hosts declares; DeclarationError for what cannot be read."""
    if is_host_list(source):
        _read_list(str(source), declared)
    elif not source.exists():
        hint = "name a file or folder that exists; a list of hosts has a comma: -i web1,"
        raise DeclarationError("the inventory does not exist", where=str(source), hint=hint)
    elif source.is_dir():
        for entry in _entries(source):
            read_source(entry, declared)
    else:
        _read_file(source, declared)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(filter(_counts, folder.iterdir()))
    except OSError as error:
        raise DeclarationError(f"cannot be read: {error.strerror}", where=str(folder)) from error


def _counts(entry: Path) -> bool:
    name = entry.name
    return not name.startswith(".") and name not in _IGNORED and not name.endswith(_IGNORED_ENDS)


def _read_list(hosts: str, declared: Declared) -> None:
    for entry in filter(None, map(str.strip, hosts.split(","))):
        try:
            names, port = host_names(entry)
        except ValueError as error:
            raise DeclarationError(str(error), where=f"-i {hosts}") from error
        if names != [entry] and not port:
            raise DeclarationError(f"{entry!r}: a list of hosts has no ranges", where=f"-i {hosts}", hint="use a file")
        for name in names:
            if name not in declared.hosts:
                declared.host(name, declared.groups["ungrouped"], Origin(None, f"-i {hosts}"), port)


def _read_file(file: Path, declared: Declared) -> None:
    if os.access(file, os.X_OK) and _begins(file) in _PROGRAM:
        raise DeclarationError("inventory scripts are not run", where=str(file), hint=_EXPORT.format(file))
    if file.suffix == ".toml":
        raise DeclarationError("an inventory in TOML is not read", where=str(file), hint=_EXPORT.format(file))
    text = text_of(file)
    data, fault = _as_yaml(file, text) if file.suffix in _YAML else (None, None)
    if isinstance(data, dict):
        _refuse_plugin(file, data)
        read_yaml(file, data, declared)
    elif fault or file.suffix not in _YAML or data is not None:
        _read_as_ini(file, text, declared, fault)


def _begins(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(2)
    except OSError:
        return b""  # Whoever reads the whole of it says why.


def _as_yaml(file: Path, text: str) -> tuple[Any, DeclarationError | None]:
    """What the text is as YAML, and what keeps it from being an inventory."""
    try:
        data = parse(text, str(file))
        mapping_of(data, Origin(file, ""))
    except DeclarationError as error:
        return None, error
    return data, None


def _refuse_plugin(file: Path, data: dict[Any, Any]) -> None:
    if data.get("plugin"):
        what = f"the inventory plugin {data['plugin']!r} is not run"
        raise DeclarationError(what, where=str(file), hint=_EXPORT.format(file))
    if "_meta" in data:
        what = "this is what ansible-inventory prints, which is no inventory"
        raise DeclarationError(what, where=str(file), hint="have it write one: add --export --yaml")


def _read_as_ini(file: Path, text: str, declared: Declared, fault: DeclarationError | None) -> None:
    from carboy.inventory.ini_source import read_ini  # Most inventories are in YAML, and every command waits for us.

    try:
        read_ini(file, text, declared)
    except DeclarationError:
        # It is neither: explained is what it was more likely meant to be.
        if fault and not re.search(_LOOKS_LIKE_INI, text):
            raise fault from None
        raise
