"""The app on one host, as the checks see it: what was declared, and ways to ask the host."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

from testinfra.host import Host

from carboy.declaration import Declaration
from carboy.errors import DeclarationError
from carboy.verify import on_host
from carboy.verify.backend import Backend


class Target:
    """One declared app on one host."""

    def __init__(self, declared: Declaration, backend: Backend) -> None:
        self.declared = declared
        self.backend = backend
        self.host = Host(backend)
        self.app = declared.settings["app"]

    @property
    def name(self) -> str:
        """The host's name in the inventory."""
        return self.declared.host.name

    @property
    def release(self) -> str:
        """The release that `current` points to, as the host says now; empty if there is none."""
        return self.host.run("readlink %s", f"{self.app.home}/current").stdout.strip().rpartition("/")[2]

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

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """What systemd says of a unit."""
        shown = self.host.check_output("systemctl show --property %s -- %s", ",".join(properties), unit)
        return dict(line.partition("=")[::2] for line in shown.splitlines())

    def ask(self, question: str, *arguments: object, python: str = "") -> Any:
        """The answer of a function of `on_host`, run by the host's own python3 or by another one."""
        interpreter = python or self.declared.host.python
        words = [interpreter, "-I", "-B", "-c", Path(on_host.__file__).read_text(), question, *map(str, arguments)]
        done = self.host.run(" ".join(["%s"] * len(words)), *words)
        last = done.stderr.strip().rpartition("\n")[2]
        assert done.rc == 0, f"the host could not answer the question for {question}: {last}"
        return json.loads(done.stdout)

    def answers(self, count: int = 1) -> list[dict[str, Any]]:
        """Answers to the health path over the public address, asked on the host itself."""
        found: list[dict[str, Any]] = self.ask("answers", self.app.listen, self.app.health, count)
        return found

    def allows(self, variable: str) -> bool:
        """Whether the inventory says yes to something that disturbs the host."""
        found = self.declared.host.value(variable)
        if found not in (None, True, False):
            raise DeclarationError(f"{variable} must be true or false", where=self.declared.host.where(variable))
        return bool(found)
