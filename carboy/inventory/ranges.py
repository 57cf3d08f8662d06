"""Host patterns: `web[01:20].example.com`, `db-[a:f]`, `host:2222`, `[2001:db8::1]:2222`."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Sequence

MAX_HOSTS = 10_000

_BRACKETED_IPV6 = re.compile(r"\[([0-9A-Fa-f:.]+)\]:([0-9]+)")
_WITH_PORT = re.compile(r"((?:[^:\[\]]|\[[^\]]*\])*):([0-9]+)")
_RANGE = re.compile(r"\[([^\]]*)\]")
_SPAN = r"\[(?:[a-z]:[a-z]|[0-9]+:[0-9]+)(?::[0-9]+)?\]"
_LABEL = rf"(?:\w|{_SPAN})(?:[\w-]|{_SPAN})*(?<![_-])"
_PLAIN = rf"{_LABEL}(?:\.{_LABEL})*"  # Compiled when a port is met: that takes longer than reading most inventories.


def expand(pattern: str) -> tuple[list[str], int | None]:
    """The hosts that a pattern stands for, and the port it names; ValueError says what is wrong with it."""
    if (match := _BRACKETED_IPV6.fullmatch(pattern)) and is_ipv6(match[1]):
        return [match[1]], _port(match[2])
    match = _WITH_PORT.fullmatch(pattern)
    # Behind any other name Ansible takes the colon and the number for a part of the name.
    if match and (not re.fullmatch(_PLAIN, match[1], re.IGNORECASE) or pattern.startswith("[")):
        raise ValueError("a port cannot stand behind this name; set ansible_port")
    names = [""]
    for part in _parts(match[1] if match else pattern):
        if len(names) * len(part) > MAX_HOSTS:
            raise ValueError(f"the range stands for more than {MAX_HOSTS} hosts")
        names = [name + end for name in names for end in part]
    return names, _port(match[2]) if match else None


def is_ipv6(text: str) -> bool:
    """Whether the text is an IPv6 address."""
    from ipaddress import AddressValueError, IPv6Address  # Few inventories have any.

    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True


def _port(digits: str) -> int:
    if len(digits) > 5 or not 1 <= int(digits) <= 65535:
        raise ValueError("a port is between 1 and 65535")
    return int(digits)


def _parts(pattern: str) -> Iterator[Sequence[str]]:
    for position, piece in enumerate(_RANGE.split(pattern)):
        if position % 2:
            yield _members(piece)
        elif "[" in piece or "]" in piece:
            raise ValueError("a bracket is not closed")
        else:
            yield [piece]


def _members(bounds: str) -> list[str]:
    first, last, step = _bounds(bounds)
    letters = string.ascii_letters
    if len(first) == len(last) == 1 and first in letters and last in letters:
        if letters.index(first) > letters.index(last):
            raise ValueError("the range ends before it begins")
        return list(letters[letters.index(first) : letters.index(last) + 1 : step])
    return _numbers(first, last, step)


def _bounds(bounds: str) -> tuple[str, str, int]:
    parts = bounds.split(":")
    if len(parts) not in (2, 3) or not parts[1]:
        raise ValueError("a range is written [first:last] or [first:last:step]")
    step = parts[2] if len(parts) == 3 else "1"
    if not re.fullmatch("[0-9]{1,9}", step) or int(step) == 0:
        raise ValueError("the step of a range is a number above 0")
    return parts[0] or "0", parts[1], int(step)


def _numbers(first: str, last: str, step: int) -> list[str]:
    if not (re.fullmatch("[0-9]{1,18}", first) and re.fullmatch("[0-9]{1,18}", last)):
        raise ValueError("a range goes from number to number or from letter to letter")
    width = len(first) if first[0] == "0" and len(first) > 1 else 0
    if width and width != len(last):
        raise ValueError("both ends of a range with leading zeros have the same length")
    numbers = range(int(first), int(last) + 1, step)
    if not numbers:
        raise ValueError("the range ends before it begins")
    if len(numbers) > MAX_HOSTS:
        raise ValueError(f"the range stands for more than {MAX_HOSTS} hosts")
    return [str(number).zfill(width) for number in numbers]
