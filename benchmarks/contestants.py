"""Who takes part: each brings the same app to the same hosts, under a name and a port of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.request import urlopen

import yaml

from benchmarks.fleet import APP_PORTS, Target, Targets
from benchmarks.packages import PYINFRA, Packages
from benchmarks.process import Done, run
from carboy.project import ROOT

HERE = ROOT / "benchmarks"
BIN = ROOT / ".venv/bin"
FORKS = 32
EDITED = "app/wsgi.py"


@dataclass
class Contestant:
    """One tool, and the folder with all that it is given: the app, the hosts, the wheels."""

    work: Path
    packages: Packages
    label: ClassVar[str]
    name: ClassVar[str]
    port: ClassVar[int]
    folder: ClassVar[Path] = ROOT
    """Where its command is typed."""
    every: ClassVar[int] = 1
    """It takes part in every so many-th round of a case."""
    edits = 0

    def __post_init__(self) -> None:
        shutil.copytree(ROOT / "app", self.source / "app", ignore=shutil.ignore_patterns("__pycache__"))
        self.edit()

    @property
    def source(self) -> Path:
        """The folder with this contestant's copy of the app."""
        return self.work / "source" / self.name

    @property
    def env(self) -> dict[str, str]:
        """The environment of its command: HOME has these hosts' keys alone, the wheels of earlier runs are at hand."""
        cache = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
        return {**os.environ, "HOME": str(self.work), "XDG_CACHE_HOME": cache}

    @property
    def job(self) -> dict[str, Any]:
        """What a playbook or a deploy script is told."""
        return {
            "tool": self.label,
            "app_name": self.name,
            "app_port": self.port,
            "app_source": str(self.source),
            "work": str(self.work),
            "files": str(HERE / "job"),
            "wheels": str(self.packages.path),
            "packages": self.packages.digest,
        }

    def edit(self) -> None:
        """Change one line of the app, which says in its answers how often that was done."""
        self.edits += 1
        original = (ROOT / EDITED).read_text()
        (self.source / EDITED).write_text(f'{original}app.config["RELEASE"] = "edit {self.edits}"\n')

    def introduce(self, targets: Targets) -> None:
        """Pin the keys of these hosts."""
        (self.work / ".ssh").mkdir(exist_ok=True)
        known = {f"[127.0.0.1]:{each.port} {each.host.host_key}\n" for each in targets}
        (self.work / ".ssh/known_hosts").write_text("".join(known))

    def deploy(self, targets: Targets) -> Done:
        """Bring the app to all of these hosts, in one run of one process."""
        self.introduce(targets)
        return run(self.command(targets), self.env, cwd=self.folder)

    def answers(self, target: Target) -> bool:
        """Whether the app runs on this host as it was last edited."""
        with urlopen(f"http://127.0.0.1:{target.apps[self.port]}/health", timeout=10) as response:
            return bool(json.load(response)["release"] == f"edit {self.edits}")

    def command(self, targets: Targets) -> list[str]:
        """What is typed, for these hosts."""
        raise NotImplementedError

    def changed(self, said: str) -> int:
        """How many things it says it has changed."""
        raise NotImplementedError


class Carboy(Contestant):
    """The one that this repository is about."""

    label, name, port = "Carboy", "hello", APP_PORTS[0]

    def command(self, targets: Targets) -> list[str]:
        """A deploy to all hosts."""
        # All at once, as the others do it; usually the first host is a canary.
        return self.verb("deploy", targets, "--serial", "100%")

    def verb(self, verb: str, targets: Targets, *more: str) -> list[str]:
        """What is typed for a verb."""
        inventory = self._inventory(targets)
        return [str(BIN / "invoke"), verb, "-i", str(inventory), "--host", "all", "--json", *more]

    def changed(self, said: str) -> int:
        """How many resources its events call changed."""
        events = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
        return sum(event.get("status") == "changed" for event in events)

    def _inventory(self, targets: Targets) -> Path:
        folder = self.work / self.name
        (folder / "group_vars").mkdir(parents=True, exist_ok=True)
        (folder / "hosts.yml").write_text(hosts_file(targets))
        (folder / "group_vars/all.yml").write_text(yaml.safe_dump(self._variables()))
        return folder

    def _variables(self) -> dict[str, Any]:
        return {
            "app_name": self.name,
            "app_source": str(self.source),
            "app_requirements": "app/requirements.txt",
            "app_wsgi": "app.wsgi:app",
            "app_listen": f"0.0.0.0:{self.port}",
            "app_environment": {"BENCH_MODE": "live"},
            "gunicorn_workers": 2,
            "release_watch": "500ms",
        }


class Ansible(Contestant):
    """ansible-core, as people have it who set what makes it fast."""

    label, name, port = "ansible-core, tuned", "tuned", APP_PORTS[1]
    every = 2
    config = "tuned.cfg"
    folder = HERE / "ansible"

    @property
    def env(self) -> dict[str, str]:
        """With its configuration, and ssh as for all the others."""
        ssh = f"-F none -o UserKnownHostsFile={self.work}/.ssh/known_hosts"
        config = str(self.folder / self.config)
        return {**super().env, "ANSIBLE_CONFIG": config, "ANSIBLE_SSH_COMMON_ARGS": ssh, "ANSIBLE_NOCOLOR": "1"}

    def command(self, targets: Targets) -> list[str]:
        """The playbook on all hosts."""
        hosts, job = self.work / f"{self.name}.hosts.yml", self.work / f"{self.name}.json"
        hosts.write_text(hosts_file(targets))
        job.write_text(json.dumps(self.job))
        return [str(BIN / "ansible-playbook"), "-i", str(hosts), "-e", f"@{job}", "deploy.yml"]

    def changed(self, said: str) -> int:
        """The sum of the recap."""
        return sum(map(int, re.findall(r"\bok=\d+ +changed=(\d+)", said)))


class PlainAnsible(Ansible):
    """ansible-core as it is installed."""

    label, name, port = "ansible-core, default", "plain", APP_PORTS[2]
    every = 4
    config = "default.cfg"


class Pyinfra(Contestant):
    """pyinfra, in a venv of its own."""

    label, name, port = "pyinfra", "pyinfra", APP_PORTS[3]
    folder = HERE / "pyinfra"

    @property
    def env(self) -> dict[str, str]:
        """With the files that its scripts read."""
        files = {name: str(self.work / f"pyinfra.{name.lower()}.json") for name in ("BENCH_HOSTS", "BENCH_JOB")}
        return {**super().env, **files}

    def command(self, targets: Targets) -> list[str]:
        """The deploy script on all hosts, without its question and the dry run before it."""
        hosts = {each.name: self._connection(each) for each in targets}
        for name, content in (("BENCH_HOSTS", hosts), ("BENCH_JOB", self.job)):
            Path(self.env[name]).write_text(json.dumps(content))
        return [str(PYINFRA / "bin/pyinfra"), "-y", "--json", "--parallel", str(FORKS), "inventory.py", "deploy.py"]

    def changed(self, said: str) -> int:
        """Its total of operations that did something."""
        return sum(map(int, re.findall(r'"totals": \{"hosts": \d+, "success": (\d+)', said)))

    def _connection(self, target: Target) -> dict[str, Any]:
        return {
            "ssh_hostname": "127.0.0.1",
            "ssh_port": target.port,
            "ssh_user": target.host.user,
            "ssh_key": str(target.host.key_file),
            "ssh_allow_agent": False,
            "ssh_look_for_keys": False,
            "ssh_known_hosts_file": str(self.work / ".ssh/known_hosts"),
            "ssh_strict_host_key_checking": "yes",
        }


def hosts_file(targets: Targets) -> str:
    """The inventory, which Carboy and Ansible read alike."""
    hosts = {
        each.name: {
            "ansible_host": "127.0.0.1",
            "ansible_port": each.port,
            "ansible_user": each.host.user,
            "ansible_ssh_private_key_file": str(each.host.key_file),
        }
        for each in targets
    }
    return yaml.safe_dump({"all": {"hosts": hosts}})


def plain_ssh(work: Path, target: Target) -> Done:
    """`ssh host true`, with nothing kept open from before."""
    known = ["-F", "none", "-o", f"UserKnownHostsFile={work}/.ssh/known_hosts"]
    login = [f"{target.host.user}@127.0.0.1", "-p", str(target.port), "-i", str(target.host.key_file)]
    return run(["ssh", *known, *login, "true"], dict(os.environ), cwd=ROOT)
