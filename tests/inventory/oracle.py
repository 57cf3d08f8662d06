"""Ansible itself, asked many times: its modules are imported once, and every question is answered by a fork of that.

Run as a program it is the one that is asked: a question a line on stdin, an answer a line on stdout.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

STRICT = {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1", "ANSIBLE_HOST_PATTERN_MISMATCH": "error"}


class Oracle:
    """Ansible, waiting for questions; close it at the end."""

    def __init__(self) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        # In / there is no ansible.cfg, and no group_vars beside a playbook.
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            cwd="/",
            env=clean | STRICT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def listing(self, sources: Sequence[Path | str], *more: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Groups with their hosts, sorted, and the variables of every host, as `ansible-inventory --list` has them."""
        options = [option for source in sources for option in ("-i", str(source))]
        found = json.loads(self.output("ansible-inventory", *options, *more, "--list"))
        variables = found.pop("_meta")["hostvars"]
        groups = {name: members for name in found if (members := sorted(_members(found, name)))}
        return groups, {host: variables.get(host, {}) for host in groups.get("all", ())}

    def output(self, *command: str) -> str:
        """What one of Ansible's programs prints; ValueError with its complaint if it fails."""
        return self._ask({"run": command})

    def hosts(self, sources: Sequence[Path | str], patterns: Sequence[str]) -> list[list[str] | None]:
        """The hosts that each pattern picks, in order; None where Ansible refuses it or finds nothing."""
        found: list[list[str] | None] = json.loads(
            self._ask({"sources": list(map(str, sources)), "patterns": patterns})
        )
        return found

    def close(self) -> None:
        """Let it end."""
        self._process.communicate()

    def _ask(self, question: dict[str, Any]) -> str:
        assert self._process.stdin and self._process.stdout
        print(json.dumps(question), file=self._process.stdin, flush=True)
        answer = json.loads(self._process.stdout.readline())
        if answer["code"]:
            raise ValueError(answer["err"])
        return str(answer["out"])


def _members(listing: dict[str, Any], group: str) -> set[str]:
    entry = listing.get(group, {})
    return set(entry.get("hosts", [])).union(*(_members(listing, child) for child in entry.get("children", [])))


def _answer(question: dict[str, Any]) -> None:
    if "run" in question:
        _programs()[question["run"][0]](question["run"])
        return
    from ansible.inventory.manager import InventoryManager
    from ansible.parsing.dataloader import DataLoader

    manager = InventoryManager(DataLoader(), question["sources"])
    found: list[list[str] | None] = []
    for pattern in question["patterns"]:
        hosts = None
        with contextlib.suppress(Exception):
            hosts = [host.name for host in manager.get_hosts(pattern)]
        found.append(hosts)
    print(json.dumps(found))


def _programs() -> dict[str, Any]:
    from ansible.cli import adhoc, inventory

    return {"ansible-inventory": inventory.main, "ansible": adhoc.main}


def _forked(question: dict[str, Any]) -> dict[str, Any]:
    with TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        if not (child := os.fork()):
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            code: Any = 1
            try:
                _answer(question)
                code = 0
            except SystemExit as end:
                code = end.code
            finally:
                sys.stdout.flush()
                os._exit(code or 0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return {"code": code, "out": _whole(out), "err": _whole(err)}


def _whole(stream: Any) -> str:
    stream.seek(0)
    return str(stream.read())


if __name__ == "__main__":
    _programs()
    for line in sys.stdin:
        print(json.dumps(_forked(json.loads(line))), flush=True)
