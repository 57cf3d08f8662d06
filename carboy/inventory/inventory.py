"""The hosts and groups, and how they are picked by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from carboy.errors import DeclarationError
from carboy.inventory.host import Host
from carboy.inventory.suggest import did_you_mean


@dataclass(frozen=True)
class Inventory:
    """All hosts, in the order of their first mention, and the hosts of every group with those of its children."""

    hosts: Mapping[str, Host]
    groups: Mapping[str, tuple[str, ...]]

    def select(self, names: Sequence[str]) -> tuple[Host, ...]:
        """The hosts that names of hosts and groups stand for, in inventory order, each checked for how to connect."""
        wanted = {host for entry in names for name in entry.split(",") for host in self._members(name.strip())}
        if not wanted:
            what = f"{', '.join(names)} has no hosts" if names else "no host is named"
            raise DeclarationError(what, hint=did_you_mean("", self.hosts))
        chosen = tuple(host for name, host in self.hosts.items() if name in wanted)
        for host in chosen:
            host.check()
        return chosen

    def _members(self, name: str) -> tuple[str, ...]:
        if name in self.groups:
            return self.groups[name]
        if name in self.hosts:
            return (name,)
        known = dict.fromkeys((*self.hosts, *self.groups))
        raise DeclarationError(f"unknown host or group {name!r}", hint=did_you_mean(name, known))
