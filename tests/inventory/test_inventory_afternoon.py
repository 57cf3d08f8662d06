"""The move that docs/from-ansible.md shows: its inventory, read by Ansible and by Carboy, and what the page types."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from carboy.declaration import declare
from carboy.errors import DeclarationError
from carboy.inventory import load
from carboy.inventory.passwords import named
from carboy.inventory.sealed import Secret, opened
from carboy.inventory.vault import KEYRING
from tests.inventory.oracle import Oracle
from tests.inventory.test_inventory_against_ansible import _ours

ROOT = Path(__file__).parents[2]
EXAMPLE = Path(__file__).with_name("afternoon")
PAGE = (ROOT / "docs/from-ansible.md").read_text()
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home with the playbook's folder and the password of its vault."""
    shutil.copytree(EXAMPLE / "infra", tmp_path / "infra")
    shutil.copy(EXAMPLE / "vault-password", tmp_path / ".vault-password")
    before = KEYRING.passwords
    KEYRING.passwords = named([str(tmp_path / ".vault-password")], environment={})
    yield tmp_path
    KEYRING.passwords = before


def move(home: Path) -> Path:
    """Add what the page adds; returns the inventory."""
    shutil.copytree(EXAMPLE / "added", home / "infra", dirs_exist_ok=True)
    return home / "infra" / "inventory"


def test_forty_hosts_as_in_ansible(home: Path, oracle: Oracle) -> None:
    """After the move Ansible and Carboy still agree on every group and every variable, those in the vault too."""
    inventory = move(home)
    theirs = oracle.listing([inventory], "--vault-password-file", str(home / ".vault-password"))
    assert _ours([inventory]) == theirs
    assert len(theirs[1]) == 40
    assert theirs[1]["web07.example.net"]["keepalive"] == 30


def test_before_the_move(home: Path) -> None:
    """Who logs in stands in ansible.cfg alone, and that is refused; the hosts that have a user of their own are not."""
    found = load([home / "infra" / "inventory"])
    with pytest.raises(DeclarationError, match="remote_user = deploy"):
        found.select(["web"])
    assert [host.name for host in found.select(["stage"])] == ["stage1.example.net", "stage2.example.net"]


def test_what_is_declared(home: Path) -> None:
    """Every web host has its app: port, secret and batches come out of the variables that were there."""
    declared = [declare(host) for host in load([move(home)]).select(["web"])]
    assert len(declared) == 24
    app = declared[6].settings["app"]
    assert (app.listen, app.environment["SHOP_MODE"]) == ("0.0.0.0:8080", "live")
    assert app.environment["SHOP_DATABASE"] == "postgresql://shop@db1.example.net/shop"
    key = opened(app.secrets["SHOP_KEY"].what)
    assert (str(key), type(key)) == ("key-of-the-afternoon", Secret)
    assert [each.settings["gunicorn"].keepalive for each in declared[5:7]] == [5, 30]
    assert declared[0].settings["rollout"].serial == (1, "25%", "100%")


def test_the_page_shows_the_files() -> None:
    """The files that the page tells to write are those that the tests add."""
    shown = [code.partition("\n") for kind, code in FENCE.findall(PAGE) if kind == "yaml"]
    assert {first.removeprefix("# ~/infra/"): text for first, _, text in shown} == {
        str(file.relative_to(EXAMPLE / "added")): file.read_text() for file in (EXAMPLE / "added").rglob("*.yml")
    }


def test_the_page_is_true(home: Path) -> None:
    """Each command of the page that needs no host prints what the page says it prints."""
    for command, said in _typed():
        if "-e gunicorn" in command:
            move(home)
        assert _printed(command, home) == said, command


def test_patterns_of_the_page(home: Path, oracle: Oracle) -> None:
    """The pattern of the page picks the same hosts in both."""
    hosts = home / "infra" / "inventory" / "hosts"
    printed = oracle.output("ansible", "web:&prod:!canary", "-i", str(hosts), "--list-hosts").split()[2:]
    move(home)
    assert [host.name for host in load([hosts]).select(["web:&prod:!canary"])] == printed
    assert len(printed) == 23


def _typed() -> Iterator[tuple[str, str]]:
    for kind, code in FENCE.findall(PAGE):
        for entry in re.findall(r"^\$ (invoke .*\n(?:[^$].*\n)*)", code, re.MULTILINE) if kind == "console" else ():
            command, _, said = entry.partition("\n")
            yield command, said


def _printed(command: str, home: Path) -> str:
    environment = os.environ | {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ANSIBLE_VAULT_PASSWORD_FILE": str(home / ".vault-password"),
    }
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    return (done.stdout + done.stderr).replace(str(home), "/home/you")
