"""Host patterns in Ansible's form: which hosts they pick, and in which order."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from carboy.errors import DeclarationError
from carboy.inventory.ranges import is_ipv6
from carboy.inventory.suggest import did_you_mean

# Compiled when they are met: most runs name plain hosts and groups.
_TERM = r"(?:[^\s:\[\]]|\[[^\]]*\])+"
_WITH_PORT = r"[^\s:\[\]]+:[0-9]+"
_SUBSCRIPT = r"(.+)\[(?:(-?[0-9]{1,9})|([0-9]{1,9})[:-]([0-9]{0,9}))\]"
_WILD = set(".?*[")


class Patterns:
    """The names that patterns are matched with: hosts, and groups with their hosts."""

    def __init__(self, hosts: Collection[str], groups: Mapping[str, Sequence[str]]) -> None:
        self.hosts = hosts
        self.groups = groups

    def pick(self, patterns: Iterable[str]) -> list[str]:
        """The hosts that any of the patterns picks, less those that `!` takes out or `&` leaves out.

        Raises DeclarationError for a pattern that is malformed or matches nothing.
        """
        terms = [term for pattern in patterns for term in self._terms(pattern.strip())]
        plain = [term for term in terms if term[0] not in "&!"]
        found = dict.fromkeys(name for term in plain or ["all"] for name in self._hosts(term))
        for sign, keep in (("&", True), ("!", False)):
            for term in terms:
                if term[0] == sign:
                    matched = frozenset(self._matched(term[1:]))
                    found = {name: None for name in found if (name in matched) is keep}
        return list(found)

    def _terms(self, pattern: str) -> list[str]:
        """The terms of a pattern: between commas, else between colons, but no address is torn apart."""
        if "," in pattern:
            terms = [term for part in pattern.split(",") for term in _term(part.strip())]
        elif pattern.startswith("@") or self._is_one(pattern.lstrip("&!")):
            terms = _term(pattern)
        elif re.sub(_TERM, "", pattern).strip(": \t"):
            raise DeclarationError(f"in {pattern!r} a bracket is not closed", hint="write web[0] or web[0:2]")
        else:
            terms = re.findall(_TERM, pattern)
        if not terms:
            raise DeclarationError(f"the pattern {pattern!r} is empty", hint="name a host, a group or all")
        return terms

    def _is_one(self, name: str) -> bool:
        return name in self.hosts or bool(re.fullmatch(_WITH_PORT, name)) or ("::" in name and is_ipv6(name))

    def _hosts(self, term: str) -> Sequence[str]:
        # A host that has the name of a group hides it here, and only here: so Ansible has it.
        return [term] if term in self.hosts else self._matched(term)

    def _matched(self, term: str) -> Sequence[str]:
        subscript = None if term.startswith("~") else re.fullmatch(_SUBSCRIPT, term)
        expression = subscript[1] if subscript else term
        matches = _matcher(expression)
        groups = [name for name in self.groups if matches(name)]
        found = [host for group in groups for host in self.groups[group]]
        if not groups or expression.startswith("~") or _WILD & set(expression):
            found += [host for host in self.hosts if matches(host)]
        if not found and not groups:
            raise self._unknown(expression)
        return _sliced(found, subscript) if subscript else found

    def _unknown(self, expression: str) -> DeclarationError:
        known = dict.fromkeys((*self.hosts, *self.groups))
        if re.fullmatch(_WITH_PORT, expression):
            hint = "a port is set in the inventory, as ansible_port"
        else:
            hint = did_you_mean(expression, known)
        what = "pattern" if expression.startswith("~") or (_WILD - {"."}) & set(expression) else "host or group"
        return DeclarationError(f"unknown {what} {expression!r}", hint=hint)


def _term(text: str) -> list[str]:
    return _lines(Path(text[1:])) if text.startswith("@") else [text] if text else []


def _lines(file: Path) -> list[str]:
    try:
        return list(filter(None, map(str.strip, file.expanduser().read_text("utf-8").split("\n"))))
    except (OSError, ValueError, RuntimeError) as error:
        what = f"the list of hosts cannot be read: {getattr(error, 'strerror', None) or error}"
        raise DeclarationError(
            what, where=str(file), hint="@FILE names a file with a host or pattern on each line"
        ) from error


def _matcher(expression: str) -> Callable[[str], object]:
    try:
        return re.compile(expression[1:] if expression.startswith("~") else fnmatch.translate(expression)).match
    except (re.error, RecursionError, OverflowError) as error:
        raise DeclarationError(f"the pattern {expression!r} is no regular expression: {error}") from error


def _sliced(hosts: Sequence[str], subscript: re.Match[str]) -> Sequence[str]:
    expression, index, first, last = subscript.groups()
    if index:
        found = hosts[int(index) :][:1] if int(index) >= -len(hosts) else []
    else:
        found = hosts[int(first) : int(last) + 1 if last else None]
    if not found and hosts:
        raise DeclarationError(
            f"{subscript[0]!r} is beyond the {len(hosts)} hosts of {expression!r}", hint="count from 0"
        )
    return found
