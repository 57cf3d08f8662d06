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

_FIRST_MENTION = ("inventory_file", "inventory_dir")


@dataclass
class Group:
    """A group as declared; `hosts` are its direct ones, `children` say where each was made a child."""

    priority: int = 1
    variables: Layer = field(default_factory=dict)
    hosts: dict[str, None] = field(default_factory=dict)
    children: dict[str, Origin] = field(default_factory=dict)

    def add(self, variables: Layer) -> None:
        """Add variables; `ansible_group_priority` is none of them, but ranks the group among others."""
        priority = variables.pop("ansible_group_priority", None)
        self.variables |= variables
        if priority is not None:
            self.priority = _number(priority)


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
        self._refuse_namesakes()
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

    def _refuse_namesakes(self) -> None:
        for name in self.hosts.keys() & self.groups.keys():
            said = [written for key, written in self.hosts[name].items() if key not in _FIRST_MENTION]
            if said:
                what = f"{name!r} is a host and a group, and Ansible gives the group what is said of the host"
                raise DeclarationError(what, where=str(said[0].origin), hint=f"rename one, or use host_vars/{name}.yml")

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

    @cached_property
    def members(self) -> dict[str, tuple[str, ...]]:
        """The hosts of each group: its own, then those of its children, then of theirs, in Ansible's order."""
        own = {name: list(group.hosts) for name, group in self.declared.groups.items()}
        alone = dict.fromkeys((*own["ungrouped"], *self.declared.hosts))
        own["ungrouped"] = [host for host in alone if not self._named(host)]
        return {name: tuple(dict.fromkeys(host for kin in self._descent(name) for host in own[kin])) for name in own}

    @cached_property
    def _children(self) -> dict[str, list[str]]:
        children = {name: list(group.children) for name, group in self.declared.groups.items()}
        orphans = (name for name in children if self.parents[name] == ["all"])
        children["all"] = list(dict.fromkeys(("ungrouped", *children["all"], *orphans)))
        return children

    def _descent(self, name: str) -> dict[str, None]:
        found, level = {name: None}, [name]
        while level:
            level = [child for parent in level for child in self._children[parent] if child not in found]
            found |= dict.fromkeys(level)
        return found

    def _named(self, host: str) -> set[str]:
        # Ansible's own rule: who is in another group is not in ungrouped, and who is in none is.
        return set(self._direct[host]) - {"all", "ungrouped"}

    def groups_of(self, host: str) -> list[str]:
        """The host's groups without `all`: parents before children, then by priority, then by name."""
        direct = self._named(host) or {"ungrouped"}
        names = frozenset().union(*(self.ancestors[name] for name in direct)) - {"all"}
        return sorted(names, key=lambda name: (self.depths[name], self.declared.groups[name].priority, name))


def _number(written: Written) -> int:
    try:
        return int(written.value)
    except (TypeError, ValueError, OverflowError) as error:
        raise DeclarationError("ansible_group_priority is a whole number", where=str(written.origin)) from error
