"""Hosts are picked by the names of hosts and groups."""

from __future__ import annotations

import pytest

from carboy.errors import DeclarationError
from tests.inventory.conftest import Write

HOSTS = "{web: {hosts: {'web[1:3]': }}, db: {hosts: {db1: {ansible_connection: docker}, web2: }}, none: }"


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["web1"], ["web1"]),
        (["web"], ["web1", "web2", "web3"]),
        (["web3,web1"], ["web1", "web3"]),
        (["web3", " web , web2"], ["web1", "web2", "web3"]),
    ],
)
def test_select(inventory: Write, names: list[str], chosen: list[str]) -> None:
    """Names, groups and comma-separated lists give each host once, in inventory order."""
    assert [host.name for host in inventory(HOSTS).select(names)] == chosen


@pytest.mark.parametrize(
    ("names", "what", "hint"),
    [
        (["wbe1"], "unknown host or group 'wbe1'", "did you mean 'web1'?"),
        (["zzz"], "unknown host or group 'zzz'", "known: web1, web2, web3, db1, all, ungrouped, web, db, none"),
        ([""], "unknown host or group ''", "known: web1"),
        ([], "no host is named", "known: web1"),
        (["none"], "none has no hosts", "known: web1"),
        (["db"], "ansible_connection 'docker' is not supported", "use ssh"),
    ],
)
def test_refused(inventory: Write, names: list[str], what: str, hint: str) -> None:
    """Unknown names, no hosts at all, and hosts with an unsupported way to connect are refused."""
    with pytest.raises(DeclarationError) as caught:
        inventory(HOSTS).select(names)
    assert what in caught.value.what
    assert caught.value.hint.startswith(hint)
