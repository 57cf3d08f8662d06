"""Proof that every process of a release runs its code, with its packages, in its unit: read from /proc.

The switch and `invoke verify` ask this one module. It stands alone, because verify sends its text by itself.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, FrozenSet, Iterator, List, Optional, Tuple, Union

PROPERTIES = "ActiveState,MainPID,ControlGroup,ExecStart,Environment"
IDENTITY = "CARBOY_RELEASE"
DELETED = " (deleted)"
PYTHON_FOLDER = re.compile(r"/lib(64)?/python\d")
SESSION = "session:"
PARENT, LEADER, START, START_CODE, START_STACK = 1, 3, 19, 23, 25
Shown = Dict[str, str]


def findings(home: Union[str, Path], release: str, unit: str) -> List[str]:
    """What a release's unit has that is not of this release, in words; empty if all its processes are of one piece.

    `home` is the app's folder, /srv/<app>; `unit` is a unit of systemd, or the path of the file in /run in which an
    instance without one is written down. Processes begin and end while they are read: what is wrong must be so twice.
    """
    first = _look(str(home), release, unit)
    again = _look(str(home), release, unit) if first else []
    return [found for found in first if found in again]


@dataclass(frozen=True)
class Process:
    """One process as /proc shows it; `image` is the same in two of which one was forked from the other."""

    pid: str
    image: Tuple[str, ...]
    group: str
    argv: Tuple[str, ...]
    environment: Dict[str, str]
    folder: str
    files: FrozenSet[str]


class Own:
    """What is a release's own: its folder, and the venv that it was built with."""

    def __init__(self, home: str, release: str) -> None:
        self.release = release
        self.path = "%s/releases/%s" % (home, release)
        self.interpreter = self.path + "/venv/bin/python"
        self.venv = "%s/venvs/%s" % (home, _recorded(self.path))
        # /proc names what lies behind links, and the app's folder may be behind one.
        self.roots = _both(home + "/releases", home + "/venvs")
        self.folders = _both(self.path, self.venv)

    def problems(self) -> Iterator[str]:
        """What is wrong on disk: packages other than those that the release was built with and tried out with."""
        leads, recorded = os.path.realpath(self.path + "/venv"), os.path.realpath(self.venv)
        if leads != recorded:
            yield "%s/venv leads to %s, but the release was built with %s" % (self.path, leads, recorded)

    def stray(self, path: str) -> str:
        """The folder of another release or venv of this app that a path lies in, or one that is deleted; or nothing."""
        root = next((root for root in self.roots if path.startswith(root + "/")), "")
        folder = "%s/%s" % (root, path[len(root) + 1 :].partition("/")[0].replace(DELETED, ""))
        if not root or (folder in self.folders and not path.endswith(DELETED)):
            return ""
        return folder + (DELETED if path.endswith(DELETED) else "")

    def moved(self, path: str) -> bool:
        """Whether a folder belongs to a release that lies elsewhere than it was built."""
        above = [folder for folder in Path(path).parents if str(folder) not in self.folders]
        return any((folder / "release.json").exists() and (folder / "manifest.json").exists() for folder in above)

    def foreign(self, path: str) -> str:
        """The venv, anywhere on the host, that a file is of and that is not this release's; or nothing."""
        venv = PYTHON_FOLDER.split(path)[0]
        return venv if venv not in self.folders and os.path.exists(venv + "/pyvenv.cfg") else ""


def _look(home: str, release: str, unit: str) -> List[str]:
    shown = _instance(home, release, Path(unit)) if unit.startswith("/") else _unit(unit)
    try:
        return _compared(home, release, unit, shown)
    except PermissionError:
        # Root need not be allowed to trace, as in a container; then only the app's user may read about the app.
        return _as_owner(shown["MainPID"], lambda: _compared(home, release, unit, shown))


def _unit(name: str) -> Shown:
    command = ["systemctl", "show", "--property", PROPERTIES, "--", name]
    return dict(line.partition("=")[::2] for line in subprocess.check_output(command).decode().splitlines())


def _instance(home: str, release: str, path: Path) -> Shown:
    """What systemd would say of an instance that is no unit: its session counts for the cgroup."""
    pid, born = (path.read_text().split() if path.exists() else ["0", ""])[:2]
    alive = [*_status(pid), *[""] * START][START] == born
    folder = "%s/releases/%s" % (home, release)
    command = json.loads(Path(folder, "cron/settings.json").read_text())["command"].replace("%r", folder)
    return {
        "ActiveState": "active" if alive else "inactive",
        "MainPID": pid,
        "ControlGroup": SESSION + pid,
        "ExecStart": "path=%s ;" % command.split()[0],
        "Environment": "%s=%s" % (IDENTITY, release),
    }


def _as_owner(pid: str, question: Callable[[], List[str]]) -> List[str]:
    """Ask as the user of a process, in a process of its own."""
    owner, (told, tell) = os.stat("/proc/" + pid), os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setgid(owner.st_gid)
            os.setuid(owner.st_uid)
            os.write(tell, json.dumps(question()).encode())
        finally:
            os._exit(0)
    os.close(tell)
    with os.fdopen(told) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return json.loads(text) if text else ["process %s cannot be looked into" % pid]


def _compared(home: str, release: str, unit: str, shown: Shown) -> List[str]:
    members = {each.pid: each for each in (_process(pid, shown) for pid in _members(shown)) if each}
    main = members.get(shown["MainPID"])
    if shown["ActiveState"] != "active" or not main:
        return ["%s is %s, main process %s" % (unit, shown["ActiveState"], shown["MainPID"])]
    own = Own(home, release)
    found = [*own.problems(), *_of_main(main, shown, own)]
    for process in members.values():
        found += ["process %s %s" % (process.pid, said) for said in _of_any(process, main, own)]
        # Without systemd a program that the app starts may have a session of its own: nothing says that it may not.
        if not _inside(process.group, shown) and not process.group.startswith(SESSION):
            found.append("process %s is not in %s, but in %s" % (process.pid, unit, process.group))
    return found


def _of_main(main: Process, shown: Shown, own: Own) -> Iterator[str]:
    """How the main process was started; where it put a title in the place of that, systemd knows."""
    interpreter, release = main.argv[0], main.environment.get(IDENTITY)
    if not os.path.isabs(interpreter) or not (os.path.exists(interpreter) or own.stray(interpreter)):
        told = dict(item.partition("=")[::2] for item in shlex.split(shown["Environment"]))
        interpreter = shown["ExecStart"].partition("path=")[2].partition(" ;")[0]
        release = release or told.get(IDENTITY)
    if interpreter != own.interpreter:
        yield "process %s was started as %s, not as %s" % (main.pid, interpreter, own.interpreter)
    if release != own.release:
        yield "process %s carries the release id %s" % (main.pid, release)


def _of_any(process: Process, main: Process, own: Own) -> Iterator[str]:
    """What a process has of another release; what the app starts, a shell or ffmpeg, need not have anything of its."""
    carried = process.environment.get(IDENTITY, own.release)
    if process is not main and carried != own.release:
        yield "carries the release id %s" % carried
    if own.stray(process.folder) or own.moved(process.folder):
        yield "works in %s" % process.folder
    worker = process.image == main.image
    used = {own.stray(file) or (own.foreign(file) if worker else "") for file in (*process.files, process.argv[0])}
    yield from ("has files of %s" % other for other in sorted(filter(None, used)))


def _members(shown: Shown) -> List[str]:
    """The main process, all that descend from it, and all others in the unit's cgroup."""
    parents = {pid: status[PARENT] for pid, status in ((pid, _status(pid)) for pid in _pids()) if status}
    members = {pid for pid in parents if pid == shown["MainPID"] or _inside(_group(pid, shown), shown)}
    while True:
        children = {pid for pid, parent in parents.items() if parent in members} - members
        if not children:
            return sorted(members, key=int)
        members |= children


def _inside(group: str, shown: Shown) -> bool:
    return (group + "/").startswith(shown["ControlGroup"] + "/")


def _process(pid: str, shown: Shown) -> Optional[Process]:
    """Everything about one process; None if it ended meanwhile."""
    try:
        status, mapped = _status(pid), (line.split(None, 5) for line in _lines(pid, "maps", "\n"))
        return Process(
            pid=pid,
            image=(status[START_CODE], status[START_STACK]),
            group=_group(pid, shown),
            argv=tuple(_lines(pid, "cmdline", "\0")),
            environment=dict(item.partition("=")[::2] for item in _lines(pid, "environ", "\0")),
            folder=os.readlink("/proc/%s/cwd" % pid),
            files=frozenset(fields[5] for fields in mapped if len(fields) > 5),
        )
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return None


def _pids() -> List[str]:
    return [name for name in os.listdir("/proc") if name.isdigit()]


def _status(pid: str) -> List[str]:
    """The fields of /proc/PID/stat after the name; none if the process has ended, its parent knowing or not."""
    try:
        status = "".join(_lines(pid, "stat", "\n")).rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return status if status[:1] not in (["Z"], ["X"]) else []


def _group(pid: str, shown: Shown) -> str:
    """The cgroup in which systemd counts the process, in its one hierarchy or in the one that is named after it."""
    if shown["ControlGroup"].startswith(SESSION):
        return SESSION + (_status(pid) or ["", "", "", ""])[LEADER]
    try:
        entries = [line.split(":", 2) for line in _lines(pid, "cgroup", "\n")]
    except (FileNotFoundError, ProcessLookupError):
        return ""
    groups = {controllers: path for _, controllers, path in entries}
    return groups.get("name=systemd", groups.get("", ""))


def _lines(pid: str, name: str, end: str) -> List[str]:
    """One file of a process, in parts."""
    return os.fsdecode(Path("/proc", pid, name).read_bytes()).rstrip(end).split(end)


def _recorded(release: str) -> str:
    try:
        return str(json.loads(Path(release, "release.json").read_text())["venv"])
    except (OSError, ValueError, KeyError):
        return "(none recorded)"


def _both(*paths: str) -> Tuple[str, ...]:
    """The paths as they are named, and as they are behind links."""
    return tuple({*paths, *map(os.path.realpath, paths)})
