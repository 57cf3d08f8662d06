"""The hosts and groups, and how they are picked by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from carboy.errors import DeclarationError
from carboy.inventory.host import Host
from carboy.inventory.patterns import Patterns
from carboy.inventory.suggest import did_you_mean


@dataclass(frozen=True)
class Inventory:
    """All hosts, in the order of their first mention, and the hosts of every group with those of its children."""

    hosts: Mapping[str, Host]
    groups: Mapping[str, tuple[str, ...]]

    def select(self, patterns: Sequence[str]) -> tuple[Host, ...]:
        """The hosts that Ansible's host patterns pick, in the order of Ansible, each checked for how to connect."""
        found = Patterns(self.hosts, self.groups).pick(patterns) if patterns else []
        if not found:
            what = f"{', '.join(patterns)} has no hosts" if patterns else "no host is named"
            raise DeclarationError(what, hint=did_you_mean("", self.hosts))
        chosen = tuple(self.hosts[name] for name in found)
        for host in chosen:
            host.check()
        return chosen
