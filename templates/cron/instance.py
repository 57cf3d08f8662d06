"""One run of the app of a release: its files below /run/carboy/<app>, and how its main process is started."""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import re
import resource
import shlex
import socket
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

VARIABLE = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"\n', re.DOTALL)
LIMITS = {"open_files": (resource.RLIMIT_NOFILE, "n"), "tasks_max": (resource.RLIMIT_NPROC, "u")}
PATH = "/usr/local/bin:/usr/bin:/bin"
FIRST_SOCKET = 3
# Where no socket is put.
HIGH = 64


class Refused(Exception):
    """Why the app is not started, in words for a person."""


class Instance:
    """A release that runs in one way: `serve` for the public, `candidate` for nobody, or as a `hook`."""

    def __init__(self, release: Path, kind: str) -> None:
        self.release = release
        self.settings = json.loads((release / "cron/settings.json").read_text())
        self.folder = Path("/run/carboy", self.settings["app"])
        self.name = release.name if kind == "serve" else f"{release.name}.{kind}"
        self.control = f"/srv/{self.settings['app']}/control"

    @property
    def command(self) -> list[str]:
        """What starts the app."""
        return [word.replace("%r", str(self.release)) for word in shlex.split(self.settings["command"])]

    @property
    def wanted(self) -> bool:
        """Whether this release is the chosen one, and was not stopped by hand."""
        home = Path(self.control).parent
        return os.path.realpath(self.control).startswith(f"{self.release}/") and not (home / "stopped").exists()

    def file(self, suffix: str) -> Path:
        """One of its files."""
        return self.folder / (f"{self.name}.{suffix}")

    def ended(self, main: int, status: int) -> None:
        """Write down how the main process ended, unless another one has its place by now."""
        how = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"
        with suppress(FileNotFoundError):
            if self.file("pid").read_text().split()[0] == str(main):
                _replace(self.file("end"), how)

    def launch(self, words: list[str], sockets: list[socket.socket], more: dict[str, str] | None = None) -> int:
        """Start a main process in a session of its own, as the app's user; returns its number."""
        environment = {**self._environment(), **(more or {})}
        with suppress(FileNotFoundError):
            self.file("end").unlink()
        told, tell = os.pipe()
        main = os.fork()
        if not main:
            self._become(words, sockets, environment, tell)
        os.close(tell)
        with os.fdopen(told) as said:
            wrong = said.read()
        if wrong:
            os.waitpid(main, 0)
            raise Refused(wrong)
        return main

    def _become(
        self, words: list[str], sockets: list[socket.socket], environment: dict[str, str], tell: int
    ) -> NoReturn:
        """In the child: turn into the app. What stands in the way is told; on success that line just closes."""
        tell = fcntl.fcntl(tell, fcntl.F_DUPFD_CLOEXEC, HIGH)
        try:
            os.setsid()
            self._record()
            self._limit()
            _inherit(sockets, environment)
            self._speak()
            os.umask(0o027)
            os.chdir(self.release / "tree")
            os.execvpe("setpriv", [*self._as_user(), "--", *words], environment)
        except Exception as problem:
            os.write(tell, (str(problem) or repr(problem)).encode())
        os._exit(1)

    def _record(self) -> None:
        """Write down which processes these are, by number and start: numbers are used again."""
        main, keeper = os.getpid(), os.getppid()
        uptime = Path("/proc/uptime").read_text().partition(".")[0]
        _replace(self.file("pid"), f"{main} {_born(main)} {keeper} {_born(keeper)} {uptime}")

    def _limit(self) -> None:
        for name, (kind, option) in LIMITS.items():
            wanted, hard = self.settings[name], resource.getrlimit(kind)[1]
            try:
                resource.setrlimit(kind, (wanted, wanted))
            except (OSError, ValueError):
                told = f"app_{name} is {wanted}, but this host allows {hard} (ulimit -H{option})"
                raise Refused(f"{told}, and even root may not raise that here") from None

    def _speak(self) -> None:
        """What the app says beside its logs goes into a file that the watchdog keeps short."""
        said = os.open(self.file("out"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        for descriptor, source in enumerate((os.open(os.devnull, os.O_RDONLY), said, said)):
            os.dup2(source, descriptor)

    def _as_user(self) -> list[str]:
        user = self.settings["app"]
        drop = ["--reuid", user, "--regid", user, "--init-groups", "--no-new-privs"]
        return ["setpriv", *drop, "--bounding-set", "-all", "--inh-caps", "-all"]

    def _environment(self) -> dict[str, str]:
        """The release's own variables over those that every service has."""
        user = pwd.getpwnam(self.settings["app"])
        usual = {"PATH": PATH, "HOME": user.pw_dir, "SHELL": user.pw_shell, "USER": user.pw_name}
        ours = {"CARBOY_RELEASE": self.release.name, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        ours |= {f"{name}_FILE": f"{self.release}/secrets/{name}" for name in self.settings.get("secrets", ())}
        return {**usual, "LOGNAME": user.pw_name, "LANG": "C.UTF-8", **ours, **parsed(self.release / "environment")}


def parsed(path: Path) -> dict[str, str]:
    """The variables of a file of NAME="value" as systemd reads them; raises `Refused` at anything else."""
    text, at, found = path.read_text(encoding="utf-8"), 0, {}
    for match in VARIABLE.finditer(text):
        if match.start() != at:
            break
        found[match[1]] = re.sub(r"\\(.)", r"\1", match[2], flags=re.DOTALL)
        at = match.end()
    if at != len(text):
        raise Refused(f"{path} is not as Carboy wrote it, from line {text.count(chr(10), 0, at) + 1} on")
    return found


def _inherit(sockets: list[socket.socket], environment: dict[str, str]) -> None:
    """Put the sockets where the app looks for them, and say so."""
    high = [fcntl.fcntl(each.fileno(), fcntl.F_DUPFD_CLOEXEC, HIGH) for each in sockets]
    for at, descriptor in enumerate(high):
        os.dup2(descriptor, FIRST_SOCKET + at)
    if high:
        environment.update(LISTEN_FDS=str(len(high)), LISTEN_PID=str(os.getpid()))


def _born(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def _replace(path: Path, line: str) -> None:
    draft = path.with_name(path.name + ".new")
    draft.write_text(line + "\n")
    draft.rename(path)
