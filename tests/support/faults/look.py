#!/usr/bin/python3 -IS
"""Looks over a host after a fault: `look APP SECONDS [rest [pruned]]` prints as JSON what is wrong, and what serves.

It first takes the app's lock, for which it waits SECONDS. With `rest` the last run went well, and nothing of an earlier
one may lie about; with `pruned` it switched, so that nothing half done may either.
"""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

UNITS, TRANSIENT, STATE = Path("/etc/systemd/system"), Path("/run/systemd/system"), Path("/var/lib/carboy")
REPORT = Path("/run/fault.log")


def after_a_kill(app: str) -> Iterator[str]:
    """What no fault may bring about."""
    home = Path("/srv") / app
    for mark in home.glob("releases/*/release.json"):
        yield from _release(mark.parent)
    lines = (home / "history.jsonl").read_text().split("\n") if (home / "history.jsonl").exists() else [""]
    yield from (f"history line {at} is torn" for at, line in enumerate(lines[:-1]) if line and not _json(line))
    if (home / "current").is_symlink():
        if not (home / "current" / "release.json").exists():
            yield "current leads to no complete release"
        if _active(app + ".socket") != [app + ".socket"]:
            yield "the public socket is not active"
        if not _active(app + "@*.service"):
            yield "no release is active"


def at_rest(app: str, pruned: bool) -> Iterator[str]:
    """What the next run must have put in order."""
    home = Path("/srv") / app
    name = (home / "current").readlink().name if (home / "current").is_symlink() else "nothing"
    unit = f"{app}@{name}.service"
    wants = sorted(path.name for path in UNITS.glob(f"multi-user.target.wants/{app}@*"))
    choices = [path.read_text().split("=")[-1].strip() for path in UNITS.glob(f"{app}.socket.d/release.conf")]
    said = {"active": _active(app + "@*.service"), "enabled": wants, "chosen": choices}
    yield from (f"{what}: {found}, but current is {name}" for what, found in said.items() if found != [unit])
    probes = _active(f"{app}-probe@*.socket")
    if probes != [f"{app}-probe@{name}.socket"]:
        yield f"probe sockets are active: {probes}"
    yield from (f"left over: {path}" for path in _leftovers(app))
    yield from (f"left over: {path}" for path in _prunable(app, unit) if pruned)
    loaded = _systemctl("list-units", "--all", "--plain", "--no-legend", app + "-candidate@*")
    yield from (f"left over in systemd: {line}" for line in loaded)
    yield from (f"failed: {line}" for line in _systemctl("list-units", "--failed", "--plain", "--no-legend", app + "*"))


def _release(folder: Path) -> Iterator[str]:
    tree, cached = folder / "tree", "__pycache__"
    listed = {entry[0]: entry[1:3] for entry in json.loads((folder / "manifest.json").read_text())}
    paths = [path for path in tree.rglob("*") if path.is_file() and cached not in path.parts]
    found = {str(path.relative_to(tree)): (_mode(path), _digest(path)) for path in paths}
    if {name: (oct(int(mode, 8)), digest) for name, (mode, digest) in listed.items()} != found:
        yield f"{folder} is not what its manifest says"
    for part in ("environment", "gunicorn.conf.py", f"units/{folder.parents[1].name}@{folder.name}.service"):
        if not (folder / part).exists():
            yield f"{folder} lacks {part}"
    if not (folder / "venv" / "carboy.json").exists():
        yield f"the venv of {folder} is not complete"


def _leftovers(app: str) -> Iterator[Path]:
    yield from TRANSIENT.glob(app + "-*")
    yield from Path("/run").glob("carboy-plan-*")


def _prunable(app: str, unit: str) -> Iterator[Path]:
    yield from (path for path in UNITS.glob(app + "@*") if path.name != unit)
    home = Path("/srv") / app
    for pattern, mark in (("releases/*", "release.json"), ("venvs/*", "carboy.json")):
        yield from (path for path in home.glob(pattern) if not (path / mark).exists())
    for folder in (UNITS, TRANSIENT, home, Path("/etc/logrotate.d")):
        yield from folder.rglob(".*.carboy")
    yield from STATE.rglob("*.part")


def _mode(path: Path) -> str:
    return oct(path.stat().st_mode & 0o777)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _json(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _systemctl(*arguments: str) -> list[str]:
    return subprocess.run(["systemctl", *arguments], stdout=subprocess.PIPE, text=True).stdout.splitlines()


def _active(pattern: str) -> list[str]:
    lines = _systemctl("list-units", "--state=active", "--plain", "--no-legend", "--", pattern)
    return [line.split()[0] for line in lines]


def _lock(app: str, seconds: float) -> bool:
    path = Path(f"/run/carboy/{app}.lock")
    if not path.exists():
        return True
    descriptor, until = os.open(path, os.O_RDWR), time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(0.02)


def look(app: str, seconds: float, words: list[str]) -> dict[str, Any]:
    """All that is wrong, the active releases, and the report of the run that was harmed."""
    problems = [] if _lock(app, seconds) else ["the lock is still held"]
    problems += after_a_kill(app)
    problems += at_rest(app, "pruned" in words) if "rest" in words and not problems else ()
    serving = [name.partition("@")[2][: -len(".service")] for name in _active(app + "@*.service")]
    report = [json.loads(line) for line in REPORT.read_text().splitlines()] if REPORT.exists() else []
    return {"problems": problems, "serving": serving, "report": report}


print(json.dumps(look(sys.argv[1], float(sys.argv[2]), sys.argv[3:])))
