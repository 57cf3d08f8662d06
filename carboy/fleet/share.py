"""How many of some hosts: a number, or a percentage of them."""

from __future__ import annotations

import re

_SHARE = re.compile(r"([0-9]{1,6}) ?(%?)", re.ASCII)


class Share:
    """So many hosts, written as 3 or as 25%."""

    def __init__(self, written: int | str) -> None:
        match = _SHARE.fullmatch(str(written))
        if isinstance(written, bool) or not match or (match[2] and int(match[1]) > 100):
            raise ValueError(f"{written!r} is neither a number of hosts nor a percentage such as 25%")
        self.number, self.percent = int(match[1]), bool(match[2])

    def of(self, hosts: int) -> int:
        """How many of so many hosts that is; a percentage is rounded down."""
        return hosts * self.number // 100 if self.percent else self.number


def batch(written: int | str) -> Share:
    """The size of a batch; ValueError too if that is no host at all."""
    share = Share(written)
    if not share.number:
        raise ValueError(f"a batch of {written!r} hosts is none")
    return share
