"""The app's logs on a real host: rotation loses no line, whatever the load."""

from __future__ import annotations

import json
import subprocess
import threading
import urllib.request
from itertools import count

from tests.host.conftest import Site

ROTATIONS = 12
# An empty log is not rotated, so each rotation waits for a line; and it ends when every process has opened the new log:
# the next one compresses the old, which is right after a day, but not while a worker has yet to be told.
ROTATE_WHAT_WAS_WRITTEN = (
    "until [ -s /var/log/hello/access.log ]; do :; done; logrotate -f /etc/logrotate.d/hello; "
    "while ls -l /proc/[0-9]*/fd 2>/dev/null | grep -q 'access.log.1$'; do :; done"
)
READ_ALL = "cd /var/log/hello && zcat access.log.*.gz 2>/dev/null; cat access.log.[0-9] access.log 2>/dev/null || true"


def test_rotation_loses_no_line(deployed: Site) -> None:
    """Over twelve forced rotations under load, each answered request is logged exactly once."""
    deployed.variables["logrotate_keep"] = ROTATIONS + 1
    deployed.invoke("deploy")
    numbers, stop = count(), threading.Event()
    threads = [threading.Thread(target=_ask, args=(deployed.port, numbers, stop)) for _ in range(8)]
    for thread in threads:
        thread.start()
    deployed.shell(f"for i in $(seq {ROTATIONS}); do {ROTATE_WHAT_WAS_WRITTEN}; done")
    stop.set()
    for thread in threads:
        thread.join()
    lines = [json.loads(line) for line in deployed.shell(READ_ALL).splitlines()]
    seen = sorted(int(line["x_tracking_id"]) for line in lines if line["x_tracking_id"])
    assert len(seen) > ROTATIONS, "the load was too small to prove anything"
    assert seen == list(range(next(numbers)))
    assert deployed.shell("ls /var/log/hello/access.log.*.gz | wc -l").strip() == str(ROTATIONS - 1)


def _ask(port: int, numbers: count[int], stop: threading.Event) -> None:
    while not stop.is_set():
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/health", headers={"X-Tracking-Id": str(next(numbers))}
        )
        with urllib.request.urlopen(request) as answer:
            answer.read()


def test_follow(deployed: Site) -> None:
    """`invoke logs -f --access` shows a request as soon as it is made, and ends with its reader."""
    command = deployed.command("logs", "-f", "--access", "--lines=0")
    with subprocess.Popen(command, env=deployed.env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        deployed.shell("until pgrep -x tail; do :; done")
        with urllib.request.urlopen(f"http://127.0.0.1:{deployed.port}/?token=secret") as answer:
            answer.read()
        event = next(event for event in map(json.loads, process.stdout) if event["event"] == "log")
        process.kill()
    assert json.loads(event["line"])["request_path"] == "/"
    deployed.shell("while pgrep -x tail; do :; done")
