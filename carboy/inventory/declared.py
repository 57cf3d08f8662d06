"""What the sources of an inventory declare, whatever their format: groups, hosts, and variables with their origins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

from carboy.errors import DeclarationError
from carboy.inventory.origin import Layer, Origin, Written


@dataclass
class Group:
    """A group as declared; `hosts` are its direct ones, `children` say where each was made a child."""

    priority: int = 1
    variables: Layer = field(default_factory=dict)
    hosts: dict[str, None] = field(default_factory=dict)
    children: dict[str, Origin] = field(default_factory=dict)


@dataclass
class Declared:
    """Groups and hosts in the order of their first mention."""

    groups: dict[str, Group] = field(default_factory=lambda: {"all": Group(), "ungrouped": Group()})
    hosts: dict[str, Layer] = field(default_factory=dict)

    def group(self, name: str) -> Group:
        """The group of that name, declared now if it was not yet."""
        return self.groups.setdefault(name, Group())

    def host(self, name: str, group: Group, origin: Origin, port: int | None = None) -> Layer:
        """The variables of a host, which joins the group; only its first mention can give it a port."""
        group.hosts[name] = None
        if name not in self.hosts:
            self.hosts[name] = _first_mention(origin) | ({"ansible_port": Written(port, origin)} if port else {})
        return self.hosts[name]

    def lineage(self) -> Lineage:
        """The finished graph of the groups; DeclarationError if a group descends from itself."""
        parents: dict[str, list[str]] = {name: [] for name in self.groups}
        for name, group in self.groups.items():
            for child in group.children:
                parents[child].append(name)
        for name in self.groups:
            parents[name] = parents[name] or (["all"] if name != "all" else [])
        try:
            return Lineage(self, {name: parents[name] for name in TopologicalSorter(parents).static_order()})
        except CycleError as error:
            raise self._cycle(error.args[1]) from error

    def _cycle(self, names: list[str]) -> DeclarationError:
        links = [self.groups[a].children.get(b) for a, b in pairwise(names)]
        what = f"a group is its own descendant: {' > '.join(names)}"
        return DeclarationError(what, where=str(next(filter(None, links), "")), hint="remove one of these children")


def _first_mention(origin: Origin) -> Layer:
    file = (origin.file or Path()).absolute()
    return {"inventory_file": Written(str(file), origin), "inventory_dir": Written(str(file.parent), origin)}


@dataclass(frozen=True)
class Lineage:
    """Which groups a host is in, in the order of their precedence."""

    declared: Declared
    parents: Mapping[str, list[str]]
    """Every group after its parents."""

    @cached_property
    def depths(self) -> dict[str, int]:
        """The longest way down from `all` to each group."""
        depths: dict[str, int] = {}
        for name, parents in self.parents.items():
            depths[name] = max((depths[parent] + 1 for parent in parents), default=0)
        return depths

    @cached_property
    def ancestors(self) -> dict[str, frozenset[str]]:
        """Each group with all it descends from."""
        found: dict[str, frozenset[str]] = {}
        for name, parents in self.parents.items():
            found[name] = frozenset([name]).union(*(found[parent] for parent in parents))
        return found

    @cached_property
    def _direct(self) -> dict[str, list[str]]:
        direct: dict[str, list[str]] = {host: [] for host in self.declared.hosts}
        for name, group in self.declared.groups.items():
            for host in group.hosts:
                direct[host].append(name)
        return direct

    def groups_of(self, host: str) -> list[str]:
        """The host's groups without `all`: parents before children, then by priority, then by name."""
        # Ansible's own rule: who is in another group is not in ungrouped, and who is in none is.
        direct = set(self._direct[host]) - {"all", "ungrouped"} or {"ungrouped"}
        names = frozenset().union(*(self.ancestors[name] for name in direct)) - {"all"}
        return sorted(names, key=lambda name: (self.depths[name], self.declared.groups[name].priority, name))
