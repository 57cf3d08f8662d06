"""From sources to an inventory: reads them in order and merges the variables with Ansible's precedence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from carboy.errors import DeclarationError
from carboy.inventory.declared import Declared, Lineage
from carboy.inventory.host import Host
from carboy.inventory.inventory import Inventory
from carboy.inventory.origin import Layer, Origin, Written
from carboy.inventory.variable_files import VariableFiles
from carboy.inventory.yaml_source import read_source

_IGNORED = re.compile(
    r"^\.|^(host_vars|group_vars|vars_plugins)$|(\.(pyc|pyo|swp|bak|rpm|md|txt|rst|orig|cfg|retry)|~)$"
)


def load(sources: Sequence[Path], extra: Mapping[str, Written] = {}) -> Inventory:
    """The inventory that the files and folders declare together; `extra` variables win over all others."""
    declared = Declared()
    for file in (file for source in sources for file in _files(source)):
        read_source(file, declared)
    if not declared.hosts:
        where = ", ".join(map(str, sources))
        raise DeclarationError("the inventory has no hosts", where=where, hint="add one: all: {hosts: {prod1: {}}}")
    return _Merge(declared, declared.lineage(), _folders(sources), dict(extra)).inventory()


def _files(source: Path) -> Iterator[Path]:
    if not source.exists():
        hint = "name a file or folder that exists"
        raise DeclarationError("the inventory does not exist", where=str(source), hint=hint)
    if not source.is_dir():
        yield source
        return
    for entry in sorted(source.iterdir()):
        if not _IGNORED.search(entry.name):
            yield from _files(entry)


def _folders(sources: Sequence[Path]) -> list[tuple[VariableFiles, VariableFiles]]:
    # A folder that comes twice counts where it comes last, because there it overrides again.
    folders = dict.fromkeys(source if source.is_dir() else source.parent for source in reversed(sources))
    return [(VariableFiles(path / "group_vars"), VariableFiles(path / "host_vars")) for path in reversed(folders)]


@dataclass(frozen=True)
class _Merge:
    declared: Declared
    lineage: Lineage
    folders: Sequence[tuple[VariableFiles, VariableFiles]]
    extra: Layer

    def inventory(self) -> Inventory:
        hosts = {name: self._host(name) for name in self.declared.hosts}
        members: dict[str, list[str]] = {name: [] for name in self.declared.groups}
        for host in hosts.values():
            for group in ("all", *host.groups):
                members[group].append(host.name)
        return Inventory(hosts, {name: tuple(found) for name, found in members.items()})

    def _host(self, name: str) -> Host:
        groups = self.lineage.groups_of(name)
        merged: Layer = {}
        for layer in self._layers(name, groups):
            merged |= layer
        values = {key: written.value for key, written in merged.items()}
        return Host(name, values, {key: written.origin for key, written in merged.items()}, tuple(sorted(groups)))

    def _layers(self, host: str, groups: Sequence[str]) -> Iterator[Layer]:
        """Everything said about a host, the weakest first."""
        yield self.declared.groups["all"].variables
        yield from (self.declared.groups[group].variables for group in groups)
        yield from (files.of("all") for files, _ in self.folders)
        yield from (files.of(group) for files, _ in self.folders for group in groups)
        yield self.declared.hosts[host]
        yield from (files.of(host) for _, files in self.folders)
        yield self.extra
        yield _magic(host, groups)


def _magic(host: str, groups: Sequence[str]) -> Layer:
    short = host if re.fullmatch(r"[0-9.]+|.*:.*", host) else host.partition(".")[0]
    names = {"inventory_hostname": host, "inventory_hostname_short": short, "group_names": sorted(groups)}
    return {name: Written(value, Origin(None, name)) for name, value in names.items()}
