"""A real host to deploy to, and the command as a person would type it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from carboy.sandbox import ContainerHost, HostOptions
from tests.support.events import parsed
from tests.support.hosts import container_host
from tests.support.typist import INVOKE, typist

ROOT = Path(__file__).parents[2]
WITH_HOSTS = (ROOT / "tests/host", ROOT / "tests/cron")
SLOWEST = ("test_compose.py", "test_cron.py", "test_faults.py", "test_kill_points.py", "test_nginx.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the files with hosts come first, the slowest before all; the short ones then fill the gaps."""
    items.sort(key=lambda item: (item.path.parent not in WITH_HOSTS, item.path.name not in SLOWEST))


@dataclass
class Outcome:
    """How a command ended, and what it said: the events of --json, each as docs/events.md has it."""

    code: int
    stdout: str
    stderr: str
    events: list[dict[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        self.events = parsed(self.stdout)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The events of one kind."""
        return [event for event in self.events if event["event"] == kind]

    @property
    def changed(self) -> list[str]:
        """The resources that were changed."""
        return [event["resource"] for event in self.of("resource") if event["status"] == "changed"]


@dataclass
class Site:
    """One container host named `box` with its own inventory, home and copy of the app."""

    host: ContainerHost
    folder: Path
    variables: dict[str, Any] = field(default_factory=dict)

    @property
    def app(self) -> Path:
        """The folder that is deployed; change it at will."""
        return self.folder / "source"

    @property
    def port(self) -> int:
        """Where the app answers on 127.0.0.1."""
        assert self.host.http_port
        return self.host.http_port

    def invoke(self, *arguments: str, env: dict[str, str] | None = None, expect: int | None = 0) -> Outcome:
        """Run `invoke ARGUMENTS --host box --json` and check its exit code; with `env` in a process of its own."""
        _, *words = command = self.command(*arguments)
        if env:
            done = subprocess.run(command, cwd=ROOT, env=self.env | env, capture_output=True, text=True)
            outcome = Outcome(done.returncode, done.stdout, done.stderr)
        else:
            outcome = Outcome(*typist().type(words, self.env))
        assert expect in (None, outcome.code), f"exit {outcome.code}\n{outcome.stdout}\n{outcome.stderr}"
        return outcome

    def command(self, verb: str, *arguments: str) -> list[str]:
        """The command line of a verb on this host."""
        self.write_inventory()
        places = ["-i", str(self.folder / "inventory"), "--host", "box", "--json"]
        return [INVOKE, verb, *places, *arguments]

    @property
    def env(self) -> dict[str, str]:
        """The environment of a person who knows this host's key and nothing else."""
        cache = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
        return {**os.environ, "HOME": str(self.folder), "XDG_CACHE_HOME": cache}

    def write_inventory(self) -> None:
        """Write what is known of the host."""
        host = self.host
        variables = {
            "ansible_host": host.address,
            "ansible_port": host.port,
            "ansible_user": host.user,
            "ansible_ssh_private_key_file": str(host.key_file),
            "app_name": "hello",
            "app_source": str(self.app),
            "app_requirements": "app/requirements.txt",
            "app_wsgi": "app.wsgi:app",
            "gunicorn_workers": 2,
            "release_watch": "200ms",
            **self.variables,
        }
        path = self.folder / "inventory/hosts.yml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump({"all": {"hosts": {"box": variables}}}))

    def trust(self) -> None:
        """Pin the host's key, as the console showed it."""
        path = self.folder / ".ssh/known_hosts"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"[{self.host.address}]:{self.host.port} {self.host.host_key}\n")

    def edit(self, name: str, old: str, new: str) -> None:
        """Change a text in the app."""
        path = self.app / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def shell(self, script: str) -> str:
        """Run a script on the host as root, past SSH."""
        return self.host.container.shell(script)

    def serving(self) -> list[str]:
        """The releases whose instances are active; one that only drains is not."""
        units = self.shell("systemctl list-units --state=active --plain --no-legend 'hello@*.service'").split("\n")
        return [unit.split()[0][len("hello@") : -len(".service")] for unit in units if unit]


@contextmanager
def site(folder: Path, options: HostOptions | None = None) -> Iterator[Site]:
    """A fresh host with everything needed to deploy to it."""
    with container_host(options or HostOptions(publish_http=True)) as host:
        made = Site(host, folder)
        made.trust()
        shutil.copytree(ROOT / "app", made.app / "app", ignore=shutil.ignore_patterns("__pycache__"))
        yield made


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A host that nothing was deployed to."""
    with site(tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.fixture(scope="module")
def deployed(fresh: Site) -> Site:
    """A host with the app deployed."""
    fresh.invoke("deploy")
    return fresh
