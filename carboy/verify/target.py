"""The app on one host, as the checks see it: what was declared, and ways to ask the host."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from testinfra.host import Host

from carboy.declaration import Declaration
from carboy.errors import DeclarationError
from carboy.payload import APPLIER
from carboy.verify.backend import Backend
from carboy.verify.cluster import Cluster

Record = Callable[[str, object], None]
"""How a check reports a figure: pytest's `record_property`."""
ON_HOST = Path(__file__).parent / "on_host"
# The last one is the applier's own: a switch and the checks must not come to different verdicts.
QUESTIONS = (
    *(ON_HOST / f"{name}.py" for name in ("app", "look", "front", "disturb", "watchdog")),
    APPLIER / "coherence.py",
)
SUBJECTS = {
    "systemd": ("any", "releases", "systemd"),
    "cron": ("any", "releases", "cron"),
    "compose": ("any", "compose"),
    "kubernetes": ("kubernetes",),
}
"""The folders of checks that concern a host, by what runs the app."""
LOADER = """
import json, sys, types
for name, text in {sources!r}.items():
    module = sys.modules[name] = types.ModuleType(name)
    module.__path__ = []
    exec(compile(text, name, "exec"), module.__dict__)
    package, _, last = name.rpartition(".")
    if package:
        setattr(sys.modules[package], last, module)
place, _, question = sys.argv[1].rpartition(".")
print(json.dumps(getattr(sys.modules["carboy.verify.on_host." + place], question)(*sys.argv[2:])))
"""


@cache
def script() -> str:
    """The program that answers questions: all modules that do, as neighbours, then the question."""
    packages = {"carboy": "", "carboy.verify": "", "carboy.verify.on_host": ""}
    modules = {f"carboy.verify.on_host.{path.stem}": path.read_text() for path in QUESTIONS}
    return LOADER.format(sources={**packages, **modules})


class Target:
    """One declared app on one host."""

    def __init__(self, declared: Declaration, backend: Backend, *, kill: bool = False) -> None:
        self.declared = declared
        self.backend = backend
        self.host = Host(backend)
        self.app = declared.settings["app"]
        self.may_kill = kill or self.allows("carboy_allow_kill")

    @property
    def name(self) -> str:
        """The host's name in the inventory."""
        return self.declared.host.name

    @property
    def subjects(self) -> tuple[str, ...]:
        """What can be checked here: the folders of tests/verify."""
        return (*SUBJECTS[self.app.runtime], self.app.server, self.app.proxy)

    @cached_property
    def cluster(self) -> Cluster:
        """The app in its cluster, if that is where it runs."""
        return Cluster(self.declared.settings["kubernetes"], self.output)

    @property
    def release(self) -> str:
        """The release that `current` points to, as the host says now; empty if there is none."""
        if self.app.runtime == "kubernetes":
            return self.cluster.release
        pointed: str = self.host.run("readlink %s", f"{self.app.home}/current").stdout
        return pointed.strip().rpartition("/")[2]

    @cached_property
    def folder(self) -> str:
        """The folder of the release that was current when it was first asked for."""
        assert self.release, f"nothing is deployed: no {self.app.home}/current; next: invoke deploy --host {self.name}"
        return f"{self.app.home}/releases/{self.release}"

    @property
    def unit(self) -> str:
        """The service of that release."""
        return f"{self.app.name}@{self.folder.rpartition('/')[2]}.service"

    @property
    def socket(self) -> str:
        """The unit that holds the public address."""
        return f"{self.app.name}.socket"

    @property
    def repair(self) -> str:
        """What a person types to bring the host back to what is declared."""
        return f"invoke deploy --host {self.name}"

    def text(self, path: str) -> str:
        """A file of the host; an AssertionError names one that cannot be read."""
        done = self.host.run("cat -- %s", path)
        assert done.rc == 0, f"{path} cannot be read: {done.stderr.strip()}"
        return str(done.stdout)

    def output(self, command: str, *arguments: str) -> str:
        """What a command prints; an AssertionError says in the command's own words why it failed."""
        done = self.host.run(command, *arguments)
        last = done.stderr.strip().rpartition("\n")[2] or f"exit {done.rc}"
        assert done.rc == 0, f"{command % arguments}: {last}"
        return str(done.stdout).rstrip("\n")

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """What systemd says of a unit."""
        shown = self.output("systemctl show --property %s -- %s", ",".join(properties), unit)
        return dict(line.partition("=")[::2] for line in shown.splitlines())

    def ask(self, question: str, *arguments: object, python: str = "") -> Any:
        """The answer to a question of `on_host` ("look.answers"), by the host's own python3 or another one."""
        words = [python or self.declared.host.python, "-I", "-B", "-", question, *map(str, arguments)]
        done = self.host.run(" ".join(["%s"] * len(words)), *words, stdin=script())
        last = done.stderr.strip().rpartition("\n")[2]
        assert done.rc == 0, f"the host could not answer {question}: {last}"
        return json.loads(done.stdout)

    def answers(self, count: int = 1) -> list[dict[str, Any]]:
        """Answers to the health path over the public address, asked on the host itself."""
        found: list[dict[str, Any]] = self.ask("look.answers", self.app.listen, self.app.health, count)
        return found

    def allows(self, variable: str) -> bool:
        """Whether the inventory says yes to something that disturbs the host."""
        found = self.declared.host.value(variable)
        if found not in (None, True, False):
            raise DeclarationError(f"{variable} must be true or false", where=self.declared.host.where(variable))
        return bool(found)
