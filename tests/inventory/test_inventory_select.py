"""Hosts are picked by Ansible's host patterns."""

from __future__ import annotations

import random
import string
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carboy.errors import DeclarationError
from carboy.inventory import Inventory, load
from carboy.inventory.patterns import Patterns
from tests.inventory.conftest import Write
from tests.inventory.oracle import Oracle
from tests.inventory.test_inventory_fuzz import BUDGET

HOSTS = "{web: {hosts: {'web[1:3]': }}, db: {hosts: {db1: {ansible_connection: docker}, web2: }}, none: }"

# Several ways through the groups, but no two nested groups on one level: their order Ansible leaves to chance.
FLEET = """\
lone
db.example.com
2001:db8::1
[web]
web[01:05]
both
[prod:children]
web
db
[db]
db1
db.example.com
web03
[stage]
web04
both
zz
[empty]
[zz]
db1
[db.example.com]
web05
[all:children]
zz
"""
NAMES = (
    *("web", "prod", "db", "stage", "empty", "zz", "both", "lone", "web03", "all", "ungrouped", "nope", "2001:db8::1"),
    *("web*", "*", "d*", "*.com", "?", "web0?", "a*", "[!a]*", "db.example.com", "~we.0[12]", "~.*", "~(", "web0[12]"),
)
SUBSCRIPTS = ("[0]", "[1:2]", "[0:]", "[-1]", "[-9]", "[9]", "[1-2]", "[0:0]", "[2:0]", "[", "]")


@pytest.mark.parametrize(
    ("patterns", "chosen"),
    [
        (["web1"], ["web1"]),
        (["web"], ["web1", "web2", "web3"]),
        (["web3,web1"], ["web3", "web1"]),
        (["web3", " web , web2"], ["web3", "web1", "web2"]),
        (["web:!web1"], ["web2", "web3"]),
        (["!web1", "web"], ["web2", "web3"]),
        (["web:none"], ["web1", "web2", "web3"]),
        (["web[-1]", "web[0:1]"], ["web3", "web1", "web2"]),
    ],
)
def test_select(inventory: Write, patterns: list[str], chosen: list[str]) -> None:
    """Patterns, one or several, give each host once, in the order in which they are named."""
    assert [host.name for host in inventory(HOSTS).select(patterns)] == chosen


@pytest.mark.parametrize(
    ("patterns", "what", "hint"),
    [
        (["wbe1"], "unknown host or group 'wbe1'", "did you mean 'web1'?"),
        (["localhost"], "unknown host or group 'localhost'", "known: web1"),
        (["web,wbe1"], "unknown host or group 'wbe1'", "did you mean 'web1'?"),
        (["web:!wbe1"], "unknown host or group 'wbe1'", "did you mean 'web1'?"),
        (["wbe*"], "unknown pattern 'wbe*'", "known: web1"),
        (["zzz"], "unknown host or group 'zzz'", "known: web1, web2, web3, db1, all, ungrouped, web, db, none"),
        (["web1:22"], "unknown host or group 'web1:22'", "a port is set in the inventory"),
        (["2001:db8::9"], "unknown host or group '2001:db8::9'", "known: web1"),
        ([""], "the pattern '' is empty", "name a host"),
        ([","], "the pattern ',' is empty", "name a host"),
        ([], "no host is named", "known: web1"),
        (["none"], "none has no hosts", "known: web1"),
        (["web2:!db"], "web2:!db has no hosts", "known: web1"),
        (["web[3]"], "'web[3]' is beyond the 3 hosts of 'web'", "count from 0"),
        (["web[2:0]"], "'web[2:0]' is beyond the 3 hosts of 'web'", "count from 0"),
        (["web[0"], "in 'web[0' a bracket is not closed", "write web[0]"),
        (["~("], "the pattern '~(' is no regular expression", ""),
        (["@/nowhere"], "the list of hosts cannot be read", "@FILE names a file"),
        (["db"], "ansible_connection 'docker' is not supported", "use ssh"),
    ],
)
def test_refused(inventory: Write, patterns: list[str], what: str, hint: str) -> None:
    """Patterns that match nothing, even one of several, and hosts with an unsupported connection are refused."""
    with pytest.raises(DeclarationError) as caught:
        inventory(HOSTS).select(patterns)
    assert what in caught.value.what
    assert caught.value.hint.startswith(hint)
    assert caught.value.exit_code == 3


def test_list_in_a_file(inventory: Write, tmp_path: Path) -> None:
    """@FILE stands for the patterns on its lines, as a .retry file of Ansible's has them."""
    (tmp_path / "last.retry").write_text("web3\n\n  web1  \n!web2\n")
    found = inventory(HOSTS).select([f"@{tmp_path}/last.retry,web"])
    assert [host.name for host in found] == ["web3", "web1"]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Inventory]:
    """An inventory in which names of hosts and groups meet."""
    file = tmp_path_factory.mktemp("fleet") / "hosts.ini"
    file.write_text(FLEET)
    return file, load([file])


def test_patterns_as_in_ansible(fleet: tuple[Path, Inventory], oracle: Oracle) -> None:
    """Whatever pattern Carboy takes picks the hosts that Ansible picks, in the same order."""
    file, inventory = fleet
    chance = random.Random(5)
    patterns = [_pattern(chance) for _ in range(2000)]
    known = Patterns(inventory.hosts, inventory.groups)
    ours = [_picked(known, pattern) for pattern in patterns]
    compared = zip(patterns, ours, oracle.hosts([file], patterns), strict=True)
    assert [pattern for pattern, mine, theirs in compared if mine is not None and mine != theirs] == []
    assert sum(bool(mine) for mine in ours) > 500


def _pattern(chance: random.Random) -> str:
    names = [chance.choice(NAMES) for _ in range(chance.randint(1, 4))]
    # An address that stands between colons or has a sign, Ansible takes apart at its own colons.
    address = "2001:db8::1" in names
    signs = [""] if address else ["", "", "&", "!", " "]
    terms = [
        f"{chance.choice(signs)}{name}{chance.choice(SUBSCRIPTS) if chance.random() < 0.2 else ''}" for name in names
    ]
    return chance.choice([","] if address else [":", ",", " ", ":,"]).join(terms)


def test_order_as_the_program_prints_it(fleet: tuple[Path, Inventory], oracle: Oracle) -> None:
    """`ansible PATTERN --list-hosts` prints the hosts in Carboy's order."""
    file, inventory = fleet
    printed = oracle.output("ansible", "stage:web[1:2]:&all:!zz", "-i", str(file), "--list-hosts")
    found = [host.name for host in inventory.select(["stage:web[1:2]:&all:!zz"])]
    assert printed.split()[2:] == found == ["web04", "both", "zz", "web02", "web03"]


@BUDGET
@given(st.lists(st.text(max_size=12) | st.text(string.punctuation + "web013", max_size=12), max_size=3))
def test_any_pattern(patterns: Sequence[str]) -> None:
    """Any text as a pattern picks hosts or is refused."""
    known = Patterns(["web1", "web02", "::1"], {"all": ["web1", "web02", "::1"], "web": ["web1"]})
    for pattern in patterns:
        assert _picked(known, pattern) is None or set(known.pick([pattern])) <= set(known.hosts)


def _picked(known: Patterns, pattern: str) -> list[str] | None:
    try:
        return known.pick([pattern])
    except DeclarationError:
        return None
