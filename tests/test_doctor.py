"""`invoke doctor` where hosts are odd: whatever one says, it is told of that host, and the others go on."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.support.trees import fill
from tests.support.typist import INVOKE

ROOT = Path(__file__).parents[1]
INVENTORY = """\
all:
  vars: {{ansible_connection: local, app_runtime: kubernetes, app_wsgi: "app:app"}}
  hosts:
    odd: {{ansible_python_interpreter: {odd}}}
    well: {{ansible_python_interpreter: {well}}}
"""
END = {"event": "end", "exit": 0}
SEEN = {"event": "finding", "subject": "disk", "state": "ok", "text": "room", "hint": ""}


def doctor(folder: Path, *lines: object, code: int = 0) -> tuple[int, dict[str, list[tuple[str, str]]]]:
    """The exit code, and by host the subjects and states of what was found, where one host says these lines."""
    for name, events in {"odd": lines, "well": (SEEN, END)}.items():
        said = "\n".join(["carboy-events", *(json.dumps(event) for event in events)] if events else [])
        fill(folder, {name: f"#!/bin/sh\ncat >{folder}/heard & echo {shlex.quote(said)}; exit {code}\n"})
        (folder / name).chmod(0o755)
    fill(folder, {"hosts.yml": INVENTORY.format(odd=folder / "odd", well=folder / "well")})
    command = [INVOKE, "doctor", "-i", str(folder / "hosts.yml"), "--host", "all", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert "Traceback" not in done.stderr and events[-1]["event"] == "finished", done.stderr
    found = [event for event in events if event["event"] == "finding"]
    assert [event["subject"] for event in found if event["host"] == "well"][-1] == "disk"
    return done.returncode, [(each["subject"], each["state"]) for each in found if each["host"] == "odd"]


@pytest.mark.parametrize(
    ("lines", "last"),
    [
        ([{"event": "failed"}, END], ("declaration", "failed")),
        ([{"event": "failed", "what": 3, "details": None, "hint": []}, END], ("declaration", "failed")),
        ([{"event": "finding", "subject": 5}, SEEN, END], ("disk", "ok")),
        ([SEEN, {"event": "end"}], ("host", "failed")),
        ([{"event": "end", "exit": 99}], ("python", "failed")),
        ([SEEN, {"event": "want"}, {"event": ["end"]}, {"event": {}}, END], ("disk", "ok")),
        ([SEEN, {"event": "want", "needs": [{}]}], ("host", "failed")),
        ([], ("python", "failed")),
    ],
)
def test_an_odd_host(tmp_path: Path, lines: list[object], last: tuple[str, str]) -> None:
    """What is no whole event is passed over; how it ended is told of the step that was being looked at."""
    _, found = doctor(tmp_path, *lines)
    assert found[-1] == last
