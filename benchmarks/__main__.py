"""Time the verbs: `python -m benchmarks [RUNS]`. Ratios are of pairs: a slow machine slows both sides."""

from __future__ import annotations

import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from carboy.sandbox import ContainerHost, HostOptions, create
from carboy.sandbox.container import Container, container_name
from carboy.sandbox.engine import find

ROOT = Path(__file__).parent.parent
ROUND_TRIP = 0.05
BYTECODE = ("carboy", "roles", "tasks.py", ".venv/lib")


@dataclass(frozen=True)
class Bench:
    """One container host, and the folder with its inventory, keys and a copy of the app."""

    host: ContainerHost
    folder: Path

    @property
    def env(self) -> dict[str, str]:
        """HOME with this host's key alone; the wheels of earlier runs are at hand."""
        cache = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
        return {**os.environ, "HOME": str(self.folder), "XDG_CACHE_HOME": cache}

    def prepare(self, port: int) -> None:
        """Write the inventory and the pinned key for a port that leads to the host."""
        variables = {
            "ansible_host": "127.0.0.1",
            "ansible_port": port,
            "ansible_user": self.host.user,
            "ansible_ssh_private_key_file": str(self.host.key_file),
            "app_source": str(self.folder / "source"),
            "release_watch": "500ms",
        }
        (self.folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"bench": variables}}}))
        (self.folder / ".ssh").mkdir(exist_ok=True)
        (self.folder / ".ssh/known_hosts").write_text(f"[127.0.0.1]:{port} {self.host.host_key}\n")

    def verb(self, *words: str) -> float:
        """Seconds that one verb takes as a whole process."""
        places = ["-i", "inventory", "-i", str(self.folder / "hosts.yml"), "--host", "bench"]
        return self._time([str(ROOT / ".venv/bin/invoke"), words[0], *places, *words[1:]])

    def ssh(self, port: int) -> float:
        """Seconds of `ssh host true`."""
        known = f"UserKnownHostsFile={self.folder / '.ssh/known_hosts'}"
        login = [f"{self.host.user}@127.0.0.1", "-p", str(port), "-i", str(self.host.key_file)]
        return self._time(["ssh", "-F", "none", "-o", known, *login, "true"])

    def edit(self, number: int) -> None:
        """Change one line of the app."""
        path = self.folder / "source/app/wsgi.py"
        path.write_text(path.read_text() + f"# {number}\n")

    def _time(self, command: list[str]) -> float:
        began = time.monotonic()
        subprocess.run(command, cwd=ROOT, env=self.env, check=True, capture_output=True)
        return time.monotonic() - began


@contextmanager
def bench_host() -> Iterator[Bench]:
    """A fresh container host with a copy of the app to deploy to it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(ROOT / "app", folder / "source/app", ignore=shutil.ignore_patterns("__pycache__"))
        try:
            bench = Bench(create("bench", HostOptions(), state=folder, progress=_say), folder)
            bench.prepare(bench.host.port)
            yield bench
        finally:
            Container(find(), container_name("bench", folder)).remove()


@contextmanager
def far(port: int) -> Iterator[int]:
    """A port that leads to `port` over a line with a round trip of 50 ms."""
    command = [sys.executable, "-m", "benchmarks.relay", str(port), str(ROUND_TRIP)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as relay:
        assert relay.stdout
        try:
            yield int(relay.stdout.readline())
        finally:
            relay.terminate()


def main(runs: int) -> None:
    """Measure everything and print the table."""
    subprocess.run([sys.executable, "-m", "compileall", "-q", *BYTECODE], cwd=ROOT, check=False, capture_output=True)
    with bench_host() as bench:
        port = bench.host.port
        first = bench.verb("deploy")
        near = _pairs(runs, lambda: bench.verb("deploy"), lambda: bench.ssh(port))
        changed = [_changed(bench, number) for number in range(runs)]
        back = [_back(bench) for _ in range(runs)]
        bench.verb("deploy")
        with far(port) as distant:
            bench.prepare(distant)
            away = _pairs(runs, lambda: bench.verb("deploy"), lambda: bench.ssh(distant))
    print("| what | seconds (median) | next to `ssh host true` | target |\n|---|---|---|---|")
    print(_row("unchanged deploy", near, "2.0 times"))
    print(_row("unchanged deploy, 50 ms round trip", away, "1.6 times"))
    print(f"| one-line change, health gate included | {statistics.median(changed):.2f} | | 3 s |")
    print(f"| rollback | {statistics.median(back):.2f} | | 2 s |")
    print(f"| first deploy, warm wheelhouse | {first:.2f} | | 6 s |")


def _changed(bench: Bench, number: int) -> float:
    bench.edit(number)
    return bench.verb("deploy")


def _back(bench: Bench) -> float:
    # A gevent worker looks once a second whether it should end: a person's moment is a random one in that second.
    time.sleep(random.random())
    return bench.verb("rollback")


def _pairs(runs: int, ours: Callable[[], float], plain: Callable[[], float]) -> list[tuple[float, float]]:
    ours(), plain()
    return [(ours(), plain()) for _ in range(runs)]


def _row(what: str, pairs: list[tuple[float, float]], target: str) -> str:
    seconds = statistics.median(mine for mine, _ in pairs)
    ratio = statistics.median(mine / plain for mine, plain in pairs)
    return f"| {what} | {seconds:.2f} | {ratio:.2f} times | {target} |"


def _say(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
