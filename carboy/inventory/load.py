"""From sources to an inventory: reads them in order and merges the variables with Ansible's precedence."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from carboy.errors import DeclarationError
from carboy.inventory.declared import Declared, Lineage
from carboy.inventory.host import Host
from carboy.inventory.inventory import Inventory
from carboy.inventory.origin import Layer, Origin, Written
from carboy.inventory.source import is_host_list, read_source
from carboy.inventory.surroundings import configs, refuse_beside_playbook
from carboy.inventory.variable_files import VariableFiles

if TYPE_CHECKING:
    from carboy.inventory.ansible_cfg import Unread


def load(sources: Sequence[Path], extra: Mapping[str, Written] = {}) -> Inventory:
    """The inventory that the files and folders declare together; `extra` variables win over all others."""
    declared = Declared()
    for source in sources:
        read_source(source, declared)
    if not declared.hosts:
        where = ", ".join(map(str, sources))
        raise DeclarationError("the inventory has no hosts", where=where, hint="add one: all: {hosts: {prod1: {}}}")
    folders = _folders(sources)
    refuse_beside_playbook(folders)
    files = [(VariableFiles(path / "group_vars"), VariableFiles(path / "host_vars")) for path in folders]
    return _Merge(declared, declared.lineage(), files, dict(extra), _unread(folders)).inventory()


def _folders(sources: Sequence[Path]) -> list[Path]:
    # A folder that comes twice counts where it comes last, because there it overrides again.
    files = [source for source in reversed(sources) if not is_host_list(source)]
    folders = dict.fromkeys(source if source.is_dir() else source.parent for source in files)
    return list(reversed(folders))


def _unread(folders: Sequence[Path]) -> list[Unread]:
    if not (found := configs(folders)):
        return []
    from carboy.inventory.ansible_cfg import unread  # Few inventories have an ansible.cfg beside them.

    return [missed for config in found for missed in unread(config)]


@dataclass(frozen=True)
class _Merge:
    declared: Declared
    lineage: Lineage
    folders: Sequence[tuple[VariableFiles, VariableFiles]]
    extra: Layer
    unread: Sequence[Unread]

    def inventory(self) -> Inventory:
        return Inventory(_Hosts(self.declared.hosts, cache(self._host)), self.lineage.members)

    def _host(self, name: str) -> Host:
        groups = self.lineage.groups_of(name)
        merged: Layer = {}
        for layer in self._layers(name, groups):
            merged |= layer
        values = {key: written.value for key, written in merged.items()}
        host = Host(name, values, {key: written.origin for key, written in merged.items()}, tuple(sorted(groups)))
        for missed in self.unread:
            missed.check(host)
        return host

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


@dataclass(frozen=True)
class _Hosts(Mapping[str, Host]):
    """All hosts, each merged when it is asked for: nobody needs the vault passwords of hosts that are not meant."""

    names: Mapping[str, object]
    merged: Callable[[str], Host]

    def __getitem__(self, name: str) -> Host:
        if name not in self.names:
            raise KeyError(name)
        return self.merged(name)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def _magic(host: str, groups: Sequence[str]) -> Layer:
    short = host if re.fullmatch(r"[0-9.]+|.*:.*", host) else host.partition(".")[0]
    names = {"inventory_hostname": host, "inventory_hostname_short": short, "group_names": sorted(groups)}
    return {name: Written(value, Origin(None, name)) for name, value in names.items()}
