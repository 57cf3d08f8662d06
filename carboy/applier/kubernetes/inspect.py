"""The verbs that only look, on Kubernetes: `status` and `history`."""

from __future__ import annotations

import calendar
import time
from typing import List

from carboy.applier.host import Host
from carboy.applier.kubernetes.app import App, Live, ready
from carboy.applier.kubernetes.apply import app_of, state
from carboy.applier.kubernetes.manifest import RELEASE, Object
from carboy.applier.runs import runs
from carboy.applier.session import Arguments, session


def main(args: Arguments) -> None:
    """Entry point of the payload."""
    session(args, {"status": status, "history": history}[args["verb"]], root=state())


def status(host: Host, args: Arguments) -> None:
    """Which releases have pods, since when and how well, what can come back, and how this user's last run ended."""
    app = app_of(host)
    live = app.read()
    pods = [pod for pod in app.pods() if "deletionTimestamp" not in pod["metadata"]]
    releases = list(dict.fromkeys(pod["metadata"]["labels"].get(RELEASE, "") for pod in pods))
    for release in releases:
        mine = [pod for pod in pods if pod["metadata"]["labels"].get(RELEASE, "") == release]
        host.stream.emit("serving", release=release, chosen=release == live.release, **_about(mine))
    host.stream.emit("status", app=args["app"], **_facts(app, live), serving=releases)
    last = next(runs(host, args["app"]), None)
    if last:
        host.stream.emit("run", **last.about())


def history(host: Host, args: Arguments) -> None:  # noqa: ARG001 - every verb has this form
    """Every switch there was."""
    for record in app_of(host).read().history:
        host.stream.emit("switch", **record)


def _about(pods: List[Object]) -> "dict[str, object]":
    """What the pods of one release add up to."""
    well = [pod for pod in pods if ready(pod)]
    statuses = [each for pod in pods for each in pod.get("status", {}).get("containerStatuses", [])]
    image = str(pods[0]["spec"]["containers"][0]["image"])
    return {
        "pods": [pod["metadata"]["name"] for pod in pods],
        "ready": len(well),
        "restarts": sum(each.get("restartCount", 0) for each in statuses),
        "since": min((_seconds(pod["status"].get("startTime")) for pod in pods), default=0),
        "health": "%d of %d pods ready" % (len(well), len(pods)),
        "revision": image.rpartition("/")[2],
    }


def _facts(app: App, live: Live) -> "dict[str, object]":
    found = live.deployment
    available = found.get("status", {}).get("availableReplicas", 0) if found else 0
    public = "active" if live.find("Service.%s" % app.name) and available else "inactive"
    return {"socket": public, "chosen": live.release or None, "releases": list(live.templates)}


def _seconds(stamp: "str | None") -> int:
    return calendar.timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ")) if stamp else 0
