"""The same files give the same groups and the same variables as Ansible itself."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from carboy.inventory import load

CALLS = 6
WORLDS_PER_CALL = 25
INTERNAL = {"inventory_hostname", "inventory_hostname_short", "inventory_dir", "inventory_file", "group_names"}
VALUES = [
    1,
    0,
    -3,
    1.5,
    True,
    None,
    "text",
    "{{ other }}",
    "yes",
    "0644",
    [1, "a"],
    {"k": 1},
    {"k": {"n": [1]}},
    "ä",
    "",
]

HANDWRITTEN = {
    "hosts.yml": """
        all:
          vars: {a: 1, b: [1, 2], date: 2020-01-01, octal: 0644, sexagesimal: 1:30, word: on, quoted: "on"}
          hosts: {lone: {x: 1}, "weird:77": {}}
          children:
            web:
              vars: {a: 2, d: {k: 1}}
              hosts: {"web[01:03].x": {p: 1}, "h:2222": {d: {z: 1}}, "db-[a:c]": }
              children:
                front: {vars: {ansible_group_priority: 10, who: front}, hosts: web01.x}
                aback: {vars: {who: aback}, hosts: {web01.x: {}}}
            ungrouped: {hosts: {web02.x: , stray: }, vars: {u: 1}}
        other: {hosts: "[2001:db8::1]:22"}
        again: {hosts: {h: {ansible_port: 99}}, children: {front: }}
        """,
    "group_vars/all.json": '{"a": 1e5, "emoji": "\\ud83d\\ude00"}',
    "group_vars/web/z.yml": "b: last",
    "group_vars/web/a": "b: first\nonly: '{{ a }}'",
    "group_vars/web/sub/deep.yaml": "deep: 1\nb: sub",
    "group_vars/web/.hidden.yml": "b: hidden",
    "group_vars/web/zz~": "b: backup",
    "group_vars/web/notes.txt": "b: notes",
    "group_vars/front": "first: bare\nansible_group_priority: 3",
    "group_vars/front.yml": "first: suffix",
    "host_vars/web01.x.yaml": "c: 1\nwho: host",
    "host_vars/lone.yml": "",
}


def test_handwritten(tmp_path: Path) -> None:
    """Ranges, ports, priorities, JSON, folders of variables, hidden files and odd values come out as in Ansible."""
    _write(tmp_path, HANDWRITTEN)
    assert _ours([tmp_path / "hosts.yml"]) == _theirs([tmp_path / "hosts.yml"])


def test_several_sources(tmp_path: Path) -> None:
    """Files and folders given together merge in the order given, each with its own group_vars and host_vars."""
    for number in range(3):
        _write(tmp_path / str(number), dict(_world(random.Random(number), "")))
    sources = [tmp_path / "2" / "hosts.yml", tmp_path / "0", tmp_path / "1" / "hosts.yml", tmp_path / "2"]
    assert _ours(sources) == _theirs(sources)


@pytest.mark.parametrize("seed", range(CALLS))
def test_generated(tmp_path: Path, seed: int) -> None:
    """Random graphs of groups, with variables at every level and in files, come out as in Ansible."""
    chance = random.Random(seed)
    for number in range(WORLDS_PER_CALL):
        _write(tmp_path, dict(_world(chance, f"w{number}")))
    assert _ours([tmp_path]) == _theirs([tmp_path])


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        lines = text.splitlines()
        margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
        (folder / name).write_text("\n".join(line[margin:] for line in lines) + "\n", encoding="utf-8")


def _world(chance: random.Random, prefix: str) -> Iterator[tuple[str, str]]:
    """The files of one inventory whose names all start with the prefix, so that many can share a folder."""
    groups = [f"{prefix}g{number}" for number in range(chance.randint(1, 6))]
    hosts = [f"{prefix}h{number}" for number in range(chance.randint(1, 4))]
    chance.shuffle(groups)
    tree = {name: _group(chance, groups[index + 1 :], hosts) for index, name in enumerate(groups)}
    yield f"{prefix}hosts.yml", yaml.safe_dump(tree, sort_keys=False)
    for folder, names in (("group_vars", [*groups, "all"]), ("host_vars", hosts)):
        for name in chance.sample(names, chance.randint(0, len(names))):
            ending = (
                f"/{prefix}.yml" if name == "all" else chance.choice(["", ".yml", ".yaml", ".json", "/a.yml", "/b"])
            )
            yield f"{folder}/{name}{ending}", json.dumps(_variables(chance))


def _group(chance: random.Random, below: list[str], hosts: list[str]) -> dict[str, Any]:
    # Only groups further down the list can be children, so that there is no cycle.
    children = chance.sample(below, chance.randint(0, min(2, len(below))))
    group: dict[str, Any] = {"vars": _variables(chance)} if chance.random() < 0.8 else {}
    group["hosts"] = {
        host: _variables(chance) if chance.random() < 0.3 else None for host in hosts if chance.random() < 0.4
    }
    group["children"] = {child: {"vars": _variables(chance)} if chance.random() < 0.2 else None for child in children}
    if chance.random() < 0.3:
        group.setdefault("vars", {})["ansible_group_priority"] = chance.randint(0, 3)
    return group


def _variables(chance: random.Random) -> dict[str, Any]:
    return {chance.choice("abcdef"): chance.choice(VALUES) for _ in range(chance.randint(0, 4))}


def _ours(sources: list[Path]) -> tuple[Any, Any]:
    found = load(sources)
    variables = {
        name: {key: value for key, value in host.variables.items() if key not in INTERNAL}
        for name, host in found.hosts.items()
    }
    groups = {name: sorted(hosts) for name, hosts in found.groups.items() if hosts}
    return groups, json.loads(json.dumps(variables, default=str))


def _theirs(sources: list[Path]) -> tuple[Any, Any]:
    options = [option for source in sources for option in ("-i", str(source))]
    command = [str(Path(sys.executable).with_name("ansible-inventory")), *options, "--list"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    listing = subprocess.run(
        command, capture_output=True, check=True, cwd="/", env=clean | {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1"}
    )
    found = json.loads(listing.stdout)
    variables = found.pop("_meta")["hostvars"]
    groups = {name: members for name in found if (members := sorted(_members(found, name)))}
    return groups, {host: variables.get(host, {}) for host in groups["all"]}


def _members(listing: dict[str, Any], group: str) -> set[str]:
    entry = listing.get(group, {})
    return set(entry.get("hosts", [])).union(*(_members(listing, child) for child in entry.get("children", [])))
