"""Host patterns stand for the hosts that Ansible sees in them."""

from __future__ import annotations

import pytest

from carboy.inventory.ranges import expand


@pytest.mark.parametrize(
    ("pattern", "names", "port"),
    [
        ("web", ["web"], None),
        ("web:2222", ["web"], 2222),
        ("web[1:3].x", ["web1.x", "web2.x", "web3.x"], None),
        ("web[:2]", ["web0", "web1", "web2"], None),
        ("web[01:10:4]", ["web01", "web05", "web09"], None),
        ("db-[a:c]:22", ["db-a", "db-b", "db-c"], 22),
        ("r[1:2]n[x:y]", ["r1nx", "r1ny", "r2nx", "r2ny"], None),
        ("10.0.0.[8:9]", ["10.0.0.8", "10.0.0.9"], None),
        ("::1", ["::1"], None),
        ("[2001:db8::1]:22", ["2001:db8::1"], 22),
    ],
)
def test_expansion(pattern: str, names: list[str], port: int | None) -> None:
    """Numbers, padded numbers, letters, steps and several ranges expand in order; a port is split off."""
    assert expand(pattern) == (names, port)


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("web[1:", "bracket is not closed"),
        ("web]", "bracket is not closed"),
        ("web[1]", "written \\[first:last\\]"),
        ("web[1:]", "written \\[first:last\\]"),
        ("web[3:1]", "ends before it begins"),
        ("web[c:a]", "ends before it begins"),
        ("web[01:100]", "same length"),
        ("web[1:5:0]", "step"),
        ("web[a:5]", "from number to number"),
        ("web[1:99999999]", "more than 10000"),
        ("web[1:200][1:200]", "more than 10000"),
        ("[1:3]:22", "port cannot stand"),
        ("[1:9:4]:22", "port cannot stand"),
        ("web_:22", "port cannot stand"),
        ("web:0", "between 1 and 65535"),
        ("web:123456", "between 1 and 65535"),
    ],
)
def test_refused(pattern: str, problem: str) -> None:
    """A malformed or enormous range says what is wrong with it."""
    with pytest.raises(ValueError, match=problem):
        expand(pattern)
