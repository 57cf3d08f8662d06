"""Clients that keep asking an app, in a process of their own, and count every answer that is not what it should be."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REQUEST = b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
GIVE_UP_SECONDS = 20
# No client asks more often: it would only keep the machine busy with a page that is quick.
PACE_SECONDS = 0.02


@dataclass
class Load:
    """Requests from `clients` clients at once, each on a connection of its own; read the result after the block."""

    requests: int = 0
    failures: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    releases: list[str] = field(default_factory=list)

    @property
    def slowest(self) -> float:
        """Seconds that the slowest request took."""
        return max(self.seconds)


@contextmanager
def load(port: int, path: str = "/test", clients: int = 16) -> Iterator[Load]:
    """Put an app on 127.0.0.1 under load for the length of the block."""
    with running([sys.executable, str(Path(__file__)), str(port), path, str(clients)]) as result:
        yield result


@contextmanager
def running(command: list[str]) -> Iterator[Load]:
    """The same by a command that runs this file, wherever it does so."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdin
    result = Load()
    try:
        assert process.stdout.readline().strip() == "answered", "the app did not answer before the load began"
        yield result
    finally:
        process.stdin.close()
        vars(result).update(json.loads(process.stdout.read() or "{}"))
        process.wait()


async def _ask(port: int, path: str) -> tuple[str, str]:
    """One request; returns what was wrong (empty if nothing) and the release that answered."""
    try:
        async with asyncio.timeout(GIVE_UP_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(REQUEST % path.encode())
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            writer.close()
    except (OSError, TimeoutError) as problem:
        return repr(problem), ""
    release = next((line[11:].decode() for line in head.split(b"\r\n") if line.lower().startswith(b"x-release:")), "")
    good = head.startswith(b"HTTP/1.1 200") and body
    return "" if good else repr(head[:80] + b"..." + body[:80]), release.strip()


async def _client(port: int, path: str, result: dict[str, Any], stop: asyncio.Event) -> None:
    while not stop.is_set():
        began = time.monotonic()
        wrong, release = await _ask(port, path)
        took = time.monotonic() - began
        result["requests"] += 1
        result["seconds"].append(round(took, 4))
        if wrong:
            result["failures"].append(f"{time.time():.2f} {wrong}")
        elif release not in result["releases"]:
            result["releases"].append(release)
        await asyncio.sleep(max(0.0, PACE_SECONDS - took))


async def _main(port: int, path: str, clients: int) -> None:
    result: dict[str, Any] = {"requests": 0, "failures": [], "seconds": [], "releases": []}
    stop = asyncio.Event()
    async with asyncio.timeout(GIVE_UP_SECONDS):
        while (await _ask(port, path))[0]:
            await asyncio.sleep(0.05)
    print("answered", flush=True)
    tasks = [asyncio.create_task(_client(port, path, result, stop)) for _ in range(clients)]
    await asyncio.to_thread(sys.stdin.read)
    stop.set()
    await asyncio.gather(*tasks)
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
