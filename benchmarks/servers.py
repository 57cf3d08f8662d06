"""What each server carries: `python -m benchmarks.servers [SECONDS]`, the example app asked by wrk; 4 to 5 minutes.

The servers have one core and wrk another: more cores help gunicorn alone, so that this compares what a request costs.
All run from the beginning, and each row is measured on all of them in turn, twice, of which the better counts: a
machine that is slow for a while is so for the whole row. Ratios are to gunicorn with gevent workers, the default.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from urllib.request import urlopen

from carboy.catalog import Content
from carboy.project import ROOT
from roles import app, flask, gevent, gunicorn
from roles.server import Server

APP = app.Settings(wsgi="app.wsgi:app", name="bench")
GUNICORN = gunicorn.Settings(APP)
SERVERS: dict[str, Server] = {
    "gunicorn, gevent": GUNICORN,
    "gunicorn, gthread": replace(GUNICORN, worker_class="gthread", threads=16),
    "gunicorn, sync": replace(GUNICORN, worker_class="sync"),
    "gevent": gevent.Settings(APP),
    "flask": flask.Settings(APP),
}
PATHS = ("/test", "/health")
CLIENTS = (1, 50, 500)
FIRST_PORT = 8101
ROUNDS = 2
PATIENCE_SECONDS = 60
SERVING_CORE, ASKING_CORE = "0", "1"
UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60000.0}


@dataclass(frozen=True)
class Measured:
    """What wrk counted of one server, and for how long."""

    answers: int
    per_second: float
    p99: float
    failed: int
    clients: int
    seconds: float

    @property
    def starved(self) -> bool:
        """Whether some clients got no answer at all: then nobody knows how long they would have waited."""
        return self.answers < 2 * self.clients and self.p99 > 500 * self.seconds


def main(seconds: float) -> None:
    """Measure all, and print two tables."""
    if not shutil.which("wrk"):
        sys.exit("wrk is not here: apt-get install wrk")
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("one core is too few: the servers have one, and wrk another")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        ports = [stack.enter_context(_serving(Path(folder), *each)) for each in enumerate(SERVERS)]
        rows = {each: _row(ports, *each, seconds) for each in product(PATHS, CLIENTS)}
    _print("requests per second", {each: _rates(row) for each, row in rows.items()})
    _print("p99", {each: _times(row) for each, row in rows.items()})


@contextmanager
def _serving(folder: Path, number: int, name: str) -> Iterator[int]:
    """One of the servers on a port of its own, as a release has it."""
    release, server, port = folder / str(number), SERVERS[name], FIRST_PORT + number
    release.mkdir()
    for path, (_, content) in server.files().items():
        assert isinstance(content, Content)
        (release / path).write_text(content.text())
    command = server.command.replace("%r/venv/bin/python", sys.executable).replace("%r", str(release)).split()
    with (release / "output").open("wb") as output:
        process = subprocess.Popen(
            ["taskset", "-c", SERVING_CORE, *command],
            cwd=ROOT,
            env={**os.environ, **_environment(release, port)},
            stdout=output,
            stderr=output,
        )
    try:
        _await(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def _environment(release: Path, port: int) -> dict[str, str]:
    """Where it listens, and that its logs are files of its own."""
    logs = f"--access-logfile={release}/access.log --error-logfile={release}/error.log"
    return {"CARBOY_BIND": f"127.0.0.1:{port}", "CARBOY_LOGS": str(release), "GUNICORN_CMD_ARGS": logs}


def _await(port: int) -> None:
    """Wait until it answers: at the start, and for what clients left behind that are gone."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        try:
            urlopen(f"http://127.0.0.1:{port}/health", timeout=PATIENCE_SECONDS).close()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit(f"nothing answers on port {port}")


def _row(ports: list[int], path: str, clients: int, seconds: float) -> list[Measured]:
    rounds = [[_measured(port, path, clients, seconds) for port in ports] for _ in range(ROUNDS)]
    return [max(tries, key=lambda each: each.per_second) for tries in zip(*rounds, strict=True)]


def _measured(port: int, path: str, clients: int, seconds: float) -> Measured:
    _await(port)
    wrk = ["wrk", "-t1", f"-c{clients}", f"-d{seconds:g}s", "--timeout=60s", "--latency"]
    command = ["taskset", "-c", ASKING_CORE, *wrk, f"http://127.0.0.1:{port}{path}"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    print(f"{path}, {clients} clients, port {port}: {_found(r'Requests/sec: +([0-9.]+)', said)}/s", file=sys.stderr)
    p99 = re.search(r"99% +([0-9.]+)(us|ms|s|m)", said)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    return Measured(
        answers=int(_found(r"(\d+) requests in", said)),
        per_second=float(_found(r"Requests/sec: +([0-9.]+)", said)),
        p99=float(p99[1]) * UNITS[p99[2]] if p99 else 0.0,
        failed=int(_found(r"Non-2xx or 3xx responses: (\d+)", said)) + sum(map(int, broken.groups() if broken else ())),
        clients=clients,
        seconds=seconds,
    )


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1] if found else "0"


def _rates(row: list[Measured]) -> list[str]:
    failed = [f", {each.failed} failed" if each.failed else "" for each in row]
    return [
        f"{each.per_second:,.0f} ({each.per_second / row[0].per_second:.2f}){no}"
        for each, no in zip(row, failed, strict=True)
    ]


def _times(row: list[Measured]) -> list[str]:
    return [
        f"over {each.seconds:g} s" if each.starved else f"{each.p99:,.0f} ms ({each.p99 / row[0].p99:.2f})"
        for each in row
    ]


def _print(what: str, rows: dict[tuple[str, int], list[str]]) -> None:
    print(f"\n| {what} | {' | '.join(SERVERS)} |\n{'|---' * (len(SERVERS) + 1)}|")
    for (path, clients), cells in rows.items():
        print(f"| `{path}`, {clients} client{'s' * (clients > 1)} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 3)
