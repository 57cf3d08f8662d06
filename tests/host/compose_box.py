"""What the tests of apps in containers do on their host beside `invoke`."""

from __future__ import annotations

import json
import shlex
from typing import Any

from tests.host.conftest import Outcome, Site

STOP = "systemctl stop docker.socket docker.service"
# Not counted: systemd starts nothing so often in a minute.
START = "systemctl reset-failed docker.socket docker.service; systemctl start docker.service"
JOINED = '[ "$(readlink /srv/hello/serving)" != "run/$(basename $(readlink /srv/hello/current))" ]'
# Holds up the end of the release before, from the moment that it is told to end, and makes the next one sick.
HELD = "until pgrep -f '[d]ocker stop .*hello'; do sleep 0.01; done; kill -STOP %d; touch /srv/hello/shared/sick"
SICK = """
from pathlib import Path
from flask import abort, request
sick = Path("/srv/hello/shared/sick")
app.before_request(lambda: abort(500) if request.path == "/health" and sick.exists() else None)
"""
PLUGINS = "/usr/libexec/docker/cli-plugins /usr/lib/docker/cli-plugins"
HEALTH = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8000/health').read().decode())"
KILL = """
import os, signal
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        held = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        continue
    if "/run/carboy/hello.lock" in held:
        os.kill(int(pid), signal.SIGKILL)
"""


def containers(box: Site) -> list[dict[str, Any]]:
    """What the engine knows of the app's containers."""
    found = json.loads(box.shell("docker inspect $(docker ps --all --quiet) 2>/dev/null || true") or "[]")
    return [each for each in found if each["Config"]["Labels"].get("carboy.app") == "hello"]


def released(box: Site) -> dict[str, Any]:
    """The one container of a release that there is."""
    [found] = [each for each in containers(box) if "carboy.release" in each["Config"]["Labels"]]
    return found


def running(box: Site) -> dict[str, Any]:
    """The one container that there is."""
    [found] = containers(box)
    assert found["State"]["Running"]
    return found


def refused(outcome: Outcome) -> str:
    """All that a run said of its failure."""
    [failed] = outcome.of("failed") or outcome.of("error")
    return "\n".join(str(failed.get(key, "")) for key in ("what", "details", "hint"))


def python(box: Site, script: str) -> str:
    """Run Python in the container that serves, as the app runs."""
    name = running(box)["Name"].lstrip("/")
    start = "/srv/hello/release/venv/bin/python -I -S /srv/hello/release/carboy_start.py"
    return box.shell(f"docker exec {name} {start} /srv/hello/release/venv/bin/python -c {shlex.quote(script)}")


def kill_run(box: Site) -> None:
    """Kill the processes on the host that hold the app's lock."""
    box.host.container.exec("python3", "-c", KILL)
