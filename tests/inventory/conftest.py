"""Inventories written into a temporary folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from carboy.inventory import Inventory, Origin, load
from carboy.inventory.origin import Written
from tests.inventory.oracle import Oracle

Write = Callable[..., Inventory]


@pytest.fixture
def inventory(tmp_path: Path) -> Write:
    """Writes hosts.yml and other files, given as path=text, and loads the inventory."""

    def write(hosts: str, files: dict[str, str] | None = None, **extra: object) -> Inventory:
        for name, text in {"hosts.yml": hosts, **(files or {})}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text), encoding="utf-8")
        given = {name: Written(value, Origin(None, f"-e {name}")) for name, value in extra.items()}
        return load([tmp_path / "hosts.yml"], given)

    return write


@pytest.fixture(scope="session")
def oracle() -> Iterator[Oracle]:
    """Ansible itself, to compare with."""
    ansible = Oracle()
    yield ansible
    ansible.close()
