"""The same files give the same groups and the same variables as Ansible itself."""

from __future__ import annotations

import json
import os
import random
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from carboy.inventory import load
from carboy.inventory.ranges import expand
from tests.inventory.oracle import Oracle

CALLS = 4
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
LITERALS = [
    *(
        "1",
        "-3",
        "007",
        "0x1F",
        "0b11",
        "1_000",
        "1.50",
        "1e3",
        "1e",
        "nan",
        "3j",
        "...",
        "None",
        "null",
        "True",
        "true",
    ),
    *(
        "text",
        "two words",
        "'quoted'",
        '"a\\tb"',
        "'a' 'b'",
        "b'bytes'",
        "ä",
        "",
        "a=b",
        "a # b",
        "1 # one",
        "#",
        "a;b",
        "\\d",
    ),
    *(
        "[1, 'a']",
        "(1,)",
        "()",
        "{'k': 1, 2: [None]}",
        "{1: (2, {})}",
        "[1",
        "1, 2",
        "{{ other }}",
        "'{{ other }}'",
        "$HOME",
    ),
]

PIECES = [
    *(
        "web",
        "a",
        "z",
        "01",
        "10",
        "[1:3]",
        "[01:03]",
        "[a:c]",
        "[c:a]",
        "[1:9:4]",
        ":",
        "22",
        "_",
        "-",
        ".",
        "::1",
        "é",
    ),
    *(
        "2001:db8::",
        "[",
        "]",
        "[:2]",
        "[1:",
        "[a:C]",
        "[1:1]",
        "[3:1]",
        "[::1]:22",
        "10.0.0.",
        "[00:1]",
        "[1]",
        "[1:2:0]",
    ),
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


INI = {
    "hosts": r"""
        lone ansible_host=10.0.0.9 # a comment
        "quoted" k='a b' empty= eq=a=b
        [web] # the front
        web[01:03].x n=1 cut=a#b list='[1, "a"]' tuple="(1, 2)" nested="{'k': (1, {'a': b'z'})}"
        alias ansible_host=10.0.0.1 ansible_port=2222 flag=True word=yes text="'True'" hex=0x1F under=1_000
        db-[a:e:2]:5432
        10.0.0.[8:9]
        [2001:db8::1]:22 none=None dots=... imaginary=2j
        ; a comment, as is the next
        # [hidden]
        [prod:children]
        web
          db  # not yet declared
        [db:vars]
        octal=0644
          spaced =  a  b
        commented = 5 # five
        not_commented = five # 5
        quoted = "both" # and
        reference = {{ spaced }}
        list = ['a', {'b': None}]
        broken = ['a'
        ansible_group_priority = 7
        [db]
        alias
        [all:vars]
        a=1
        n=2
        [web:vars]
        b=web
        octal=web
        [stage:children]
        web
        [stage:vars]
        n=3
        """,
    "group_vars/db/main.yml": "octal: file",
    "group_vars/all": "b: file\nc: file",
    "host_vars/2001:db8::1.yml": "v: 6",
    "host_vars/alias.json": '{"c": "host"}',
}

# A folder of sources: what is read, in which order, and what is not.
FOLDER = {
    "01-hosts": "h1 x=first\n[web]\nh1\nh2 x=ini",
    "02-more.yml": "web: {hosts: {h2: {x: yaml}, h3: }, vars: {w: yaml}}",
    "03-last.ini": "[web:vars]\nw=ini\n[all:children]\nweb",
    "04-list.json": '{"db": {"hosts": {"d1": {"n": 1e3}}, "children": {"web": null}}}',
    "05-in-spite-of.yml": "h4 x=1\n[db]\nd2",
    "06-only-names.yaml": "h5\nh6",
    "07-empty": "",
    "08-comments.yml": "# nothing",
    "09-any.production": "h7",
    "10-no-ending": "db: {hosts: {d3: {x: yaml}}}",
    "ignored.cfg": "[broken",
    "ignored.retry": "h8",
    "ignored~": "h8",
    ".ignored": "h8",
    "README.md": "h8",
    "sub/hosts": "[web]\nh9 x=sub",
    "sub/group_vars/web.yml": "w: not read",
    "sub/host_vars/h9.yml": "x: not read",
    "group_vars/web/vars.yml": "g: 1",
    "host_vars/h9.yml": "h: 1",
}


def test_handwritten(tmp_path: Path, oracle: Oracle) -> None:
    """Ranges, ports, priorities, JSON, folders of variables, hidden files and odd values come out as in Ansible."""
    _write(tmp_path, HANDWRITTEN)
    assert _ours([tmp_path / "hosts.yml"]) == oracle.listing([tmp_path / "hosts.yml"])


def test_handwritten_ini(tmp_path: Path, oracle: Oracle) -> None:
    """Sections in any order, literals, quotes, comments, ranges and ports of the INI form come out as in Ansible."""
    _write(tmp_path, INI)
    assert _ours([tmp_path / "hosts"]) == oracle.listing([tmp_path / "hosts"])


def test_ranges(tmp_path: Path, oracle: Oracle) -> None:
    """Whatever pattern of hosts Carboy takes stands for the hosts that Ansible sees in it, with the same port."""
    chance = random.Random(9)
    made = ["".join(chance.choice(PIECES) for _ in range(chance.randint(1, 4))) for _ in range(2000)]
    groups = {f"group{number}": {"hosts": {pattern: None}} for number, pattern in enumerate(filter(_expands, made))}
    assert len(groups) > 300
    (tmp_path / "hosts.json").write_text(json.dumps(groups))
    assert _ours([tmp_path / "hosts.json"]) == oracle.listing([tmp_path / "hosts.json"])


def _expands(pattern: str) -> bool:
    try:
        return len(expand(pattern)[0]) < 30
    except ValueError:
        return False


def test_folder(tmp_path: Path, oracle: Oracle) -> None:
    """A folder's files are taken for what Ansible takes them for, in its order, without what it passes over."""
    _write(tmp_path, FOLDER)
    assert _ours([tmp_path]) == oracle.listing([tmp_path])


def test_several_sources(tmp_path: Path, oracle: Oracle) -> None:
    """Files, folders and lists of hosts merge in the order given, each with its own group_vars and host_vars."""
    for number in range(3):
        _write(tmp_path / str(number), dict(_world(random.Random(number), "")))
    sources = [tmp_path / "2" / "hosts.yml", tmp_path / "0", tmp_path / "1" / "hosts.yml", tmp_path / "2"]
    assert _ours(sources) == oracle.listing(sources)
    _write(tmp_path / "3", INI)
    mixed = [Path("h0,new:22, [::1]:23,"), tmp_path / "0", tmp_path / "3" / "hosts"]
    assert _ours(mixed) == oracle.listing(mixed)


def test_as_the_program_itself(tmp_path: Path, oracle: Oracle) -> None:
    """What all these tests compare with is what `ansible-inventory` prints when it is called as people call it."""
    _write(tmp_path, INI)
    program = Path(sys.executable).with_name("ansible-inventory")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    called = subprocess.run(
        [program, "-i", "hosts", "--list"], cwd=tmp_path, env=clean, capture_output=True, check=True
    )
    assert json.loads(called.stdout) == json.loads(
        oracle.output("ansible-inventory", "-i", str(tmp_path / "hosts"), "--list")
    )


@pytest.mark.parametrize("seed", range(CALLS))
def test_generated(tmp_path: Path, seed: int, oracle: Oracle) -> None:
    """Random graphs of groups in both forms, with variables at every level and in files, come out as in Ansible."""
    chance = random.Random(seed)
    for number in range(WORLDS_PER_CALL):
        _write(tmp_path, dict(_world(chance, f"w{number}", ini=number % 2 > 0)))
    assert _ours([tmp_path]) == oracle.listing([tmp_path])


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        lines = text.splitlines()
        margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
        (folder / name).write_text("\n".join(line[margin:] for line in lines) + "\n", encoding="utf-8")


def _world(chance: random.Random, prefix: str, *, ini: bool = False) -> Iterator[tuple[str, str]]:
    """The files of one inventory whose names all start with the prefix, so that many can share a folder."""
    groups = [f"{prefix}g{number}" for number in range(chance.randint(1, 6))]
    hosts = [f"{prefix}h{number}" for number in range(chance.randint(1, 4))]
    chance.shuffle(groups)
    if ini:
        yield f"{prefix}hosts", _ini(chance, groups, hosts)
    else:
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


def _ini(chance: random.Random, groups: list[str], hosts: list[str]) -> str:
    """Sections in any order, some of them in two parts."""
    sections = [[f"[{name}]", *_ini_hosts(chance, hosts)] for name in groups]
    for index, name in enumerate(groups):
        below = groups[index + 1 :]
        if chance.random() < 0.5:
            sections.append([f"[{name}:children]", *chance.sample(below, chance.randint(0, min(2, len(below))))])
        if chance.random() < 0.6:
            sections.append(
                [f"[{name}:vars]", *(f"{chance.choice('abcdef')} = {value}" for value in _literals(chance))]
            )
        if chance.random() < 0.2:
            sections.append([f"[{name}:vars]", f"ansible_group_priority={chance.randint(0, 3)}"])
    chance.shuffle(sections)
    return "\n".join(line for section in [_ini_hosts(chance, hosts), *sections] for line in section)


def _ini_hosts(chance: random.Random, hosts: list[str]) -> Iterator[str]:
    for host in hosts:
        if chance.random() < 0.4:
            values = _literals(chance) if chance.random() < 0.4 else []
            yield " ".join([host, *(f"{chance.choice('abcdef')}={shlex.quote(value)}" for value in values)])


def _literals(chance: random.Random) -> list[str]:
    return [chance.choice(LITERALS) for _ in range(chance.randint(0, 4))]


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
