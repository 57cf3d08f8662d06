"""The container engine of the host, called as a program; whether it is there and answers."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import Any, Dict, List

from carboy.applier.host import ENVIRONMENT, Host
from carboy.applier.resource import Drift, Failure, Properties, Resource

INSTALL = "install it, and its Compose plugin: apt-get install docker.io docker-cli docker-compose (Debian 13), "
INSTALL += "docker.io docker-compose-v2 (Ubuntu), docker-ce docker-compose-plugin (Docker's own packages)"


@dataclass(frozen=True)
class Docker(Resource):
    """An engine that answers, with Compose; it is not installed here, for which one it is decides on updates."""

    def title(self) -> str:
        """The name people read."""
        return "docker engine"

    def current(self, host: Host) -> Properties:
        """Whether it answers; raises `Failure` if it does not."""
        facts(host)
        return {"answers": True}

    def desired(self, host: Host) -> Properties:
        """That it does."""
        return {"answers": True}

    def repair(self, host: Host, drift: Drift) -> None:
        """Nothing: `current` either finds it or ends the run."""


def facts(host: Host) -> Dict[str, Any]:
    """What the engine says of itself; raises `Failure` if it is missing, does not answer, or knows no Compose."""
    if not shutil.which("docker", path=ENVIRONMENT["PATH"]):
        raise Failure("the host has no docker", hint=INSTALL)
    done = host.call("docker", "info", "--format", "{{json .}}")
    found: Dict[str, Any] = json.loads(done.stdout) if done.stdout.startswith("{") else {}
    if done.returncode or found.get("ServerErrors"):
        words = "; ".join(found.get("ServerErrors") or done.stderr.strip().splitlines()[-1:])
        raise Failure(
            "the docker engine does not answer", details=words, hint="on the host: systemctl status docker containerd"
        )
    plugins = {plugin["Name"] for plugin in found["ClientInfo"]["Plugins"] or []}
    if "compose" not in plugins:
        raise Failure("docker has no Compose plugin", hint=INSTALL)
    return found


def project(app: str, release: str) -> str:
    """What a release is called by the engine, which knows only small letters."""
    return "%s-%s" % (app, release.lower())


def moment(text: str) -> float:
    """A time as the engine writes it, in nanoseconds and UTC, in seconds of the wall clock."""
    import calendar  # here, because only who looks closer needs it
    import time

    whole, _, rest = text.rstrip("Z").partition(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float("0." + (rest or "0"))


def docker(host: Host, *arguments: str) -> str:
    """Call the engine, which must succeed; the output without its last line break."""
    return host.run("docker", *arguments).rstrip("\n")


def inspect(host: Host, kind: str, *names: str) -> List[Dict[str, Any]]:
    """What the engine knows of those things that there are."""
    if not names:
        return []
    done = host.call("docker", kind, "inspect", *names)
    found: List[Dict[str, Any]] = json.loads(done.stdout or "[]")
    return found


def containers(host: Host, app: str) -> List[Dict[str, Any]]:
    """All containers of an app, whatever their state; what a person starts from its image is none of them."""
    labels = ("--filter=label=carboy.app=" + app, "--filter=label=carboy.release")
    try:
        names = docker(host, "ps", "--all", "--quiet", "--no-trunc", *labels).split()
    except (OSError, Failure):
        facts(host)  # says why, in plain words
        raise
    return inspect(host, "container", *names)


def up(state: Dict[str, Any]) -> bool:
    """Whether a container runs, and does not merely wait to be started again, which the engine calls running too."""
    return bool(state.get("Running") and not state.get("Restarting"))
