"""The app as a neighbour on the same host sees it: its public address, its unit, its processes."""

from __future__ import annotations

import http.client
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PAUSE = 0.02
ANSWER_SECONDS = 10.0
PROPERTIES = "ActiveState,SubState,Result,MainPID,NRestarts,InvocationID,ControlGroup"
CGROUPS = ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup")
LOCAL = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "::1"}
Unit = dict[str, str]


def get(listen: str, path: str, **headers: str) -> dict[str, Any]:
    """Ask the public address once; status 0 stands for no answer."""
    connection = http.client.HTTPConnection("localhost", timeout=ANSWER_SECONDS)
    try:
        connection.sock = _connected(listen)
        connection.request("GET", path, headers={"Connection": "close", "User-Agent": "carboy-verify", **headers})
        response = connection.getresponse()
        body = response.read().decode("utf-8", "replace")[:300]
        return {"status": response.status, "release": response.getheader("X-Release"), "body": body}
    except (OSError, http.client.HTTPException) as problem:
        return {"status": 0, "release": None, "body": str(problem) or type(problem).__name__}
    finally:
        connection.close()


def healthy(listen: str, path: str) -> bool:
    """Whether the public address answers well now."""
    return bool(200 <= get(listen, path)["status"] < 400)


def until(condition: Callable[[], Any], seconds: float) -> Any:
    """The first true answer, or the last one when the time is over."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found or time.monotonic() > end:
            return found
        time.sleep(PAUSE)


def show(unit: str) -> Unit:
    """What systemd says of a unit."""
    text = subprocess.check_output(["systemctl", "show", "--property", PROPERTIES, "--", unit]).decode()
    return {name: value for name, _, value in (line.partition("=") for line in text.splitlines())}


def pids(unit: str) -> list[str]:
    """Every process in the unit's cgroup."""
    group = show(unit)["ControlGroup"]
    listed = (Path(root + group, "cgroup.procs") for root in CGROUPS if group)
    return next((path.read_text().split() for path in listed if path.exists()), [])


def workers(unit: str, main: str) -> list[str]:
    """The processes of a unit that its main process has started."""
    return [pid for pid in pids(unit) if _parent(pid) == main]


def _connected(listen: str) -> socket.socket:
    if not listen.startswith("/"):
        host, _, port = listen.rpartition(":")
        return socket.create_connection((LOCAL.get(host, host.strip("[]")), int(port)), timeout=ANSWER_SECONDS)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(ANSWER_SECONDS)
    connection.connect(listen)
    return connection


def _parent(pid: str) -> str:
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[1]
    except OSError:
        return ""
