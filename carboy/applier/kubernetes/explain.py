"""A rollout that failed, explained: what the pod, the cluster and the app say, and the likely cause."""

from __future__ import annotations

import re
import time
from typing import List, Optional, Tuple

from carboy.applier.causes import likely
from carboy.applier.excerpt import Excerpt, excerpt
from carboy.applier.kubernetes.app import App
from carboy.applier.kubernetes.manifest import Object
from carboy.applier.resource import Failure

LOG_LINES = 200
LOG_TRIES = 3
NO_LOG = "unable to retrieve container logs"
EVENTS = 4
WIDTH = 200
# Patterns over the facts, of which the first that fits wins: what it means, and what to do.
CAUSES: Tuple[Tuple[str, str, str], ...] = (
    (
        r"^waits: (?:ImagePullBackOff|ErrImage\w+|InvalidImageName)",
        "the image {image} cannot be pulled",
        "is it pushed, and may the nodes read it? see kubernetes_image and kubernetes_pull_secret",
    ),
    (
        r"^waits: CreateContainerConfigError: (.+)",
        r"a pod lacks what it refers to: \1",
        "make it in the namespace, or correct kubernetes_secrets",
    ),
    (
        r"^waits: (?:CreateContainerError|RunContainerError): (.+)",
        r"the container cannot be started: \1",
        "correct what the image starts",
    ),
    (r"^ended: OOMKilled", "it was killed at its limit of memory", "raise app_memory_max, or use less"),
    (
        r"^unplaced: (.+)",
        r"no node takes the pod: \1",
        "lower kubernetes_cpu_request or kubernetes_memory_request, or add a node",
    ),
    (r"^refused: (.+)", r"the cluster refuses the pods: \1", "see the quotas and policies of the namespace"),
)


def explain(app: App, release: str, pod: Optional[Object], said: str) -> Failure:
    """The whole failure, with its cause, its facts, and what to do next."""
    what = "%s did not become healthy" % release
    look = "%s describe deployment %s" % (app.kubectl.by_hand, app.name)
    try:
        name = pod["metadata"]["name"] if pod else ""
        log = _log(app, pod) if pod else Excerpt([])
        facts = [*(_state(pod) if pod else []), *_refused(app), *_events(app, name)]
        words, remedy = _cause(facts, log, pod)
        shown = [said, "pod: " + name if pod else "", *facts, *log.lines]
        hint = "; ".join(filter(None, (remedy, "more: " + (_by_hand(app, name) if pod else look))))
        details = "\n".join(line[:WIDTH] for line in shown if line)
        return Failure("%s: %s" % (what, words) if words else what, details=details, hint=hint)
    except Exception as problem:
        # The way back must not end here because something could not be explained.
        return Failure(what, details="%s\nthe facts could not be had: %s" % (said, problem), hint="see: " + look)


def _cause(facts: List[str], log: Excerpt, pod: Optional[Object]) -> Tuple[str, str]:
    """What it most likely is, and what to do: from what the cluster says, else from what the app said."""
    text = "\n".join(facts)
    app = pod["spec"]["containers"][0] if pod else {}
    for pattern, words, remedy in CAUSES:
        found = re.search(pattern, text, re.MULTILINE)
        if found:
            return found.expand(words.replace("{image}", app.get("image", "")))[:WIDTH], remedy
    found = re.search(r"statuscode: (\d+)", text)
    probed = "probe: %s %s\n" % (found[1], app["startupProbe"]["httpGet"]["path"]) if found else ""
    ended = re.search(r"^ended: .*exit code (\d+)", text, re.MULTILINE)
    exited = "unit: exit status %s\n" % ended[1] if ended else ""
    exception = "frame: %s\nsaid: %s\nplace: %s\n" % (log.frame, log.said, log.place) if log.said else ""
    lines = "".join("log: %s\n" % line for line in log.lines)
    cause = likely(probed + exited + lines + exception)
    return cause.words, cause.remedy


def _state(pod: Object) -> List[str]:
    """What the pod itself says of why it is not well."""
    lines = []
    for condition in pod["status"].get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            lines.append("unplaced: %s" % condition.get("message", condition.get("reason", "")))
    for status in pod["status"].get("containerStatuses", []):
        waits = status["state"].get("waiting")
        if waits:
            lines.append(": ".join(filter(None, ("waits", waits.get("reason"), waits.get("message")))))
        ended = status["state"].get("terminated") or status.get("lastState", {}).get("terminated")
        if ended:
            why = "%s, exit code %s" % (ended.get("reason"), ended.get("exitCode"))
            lines.append("ended: %s, %s restarts" % (why, status.get("restartCount", 0)))
    return lines


def _refused(app: App) -> List[str]:
    """Why pods are not even made."""
    found = app.kubectl.get("deployment", app.name)
    conditions = found[0].get("status", {}).get("conditions", []) if found else []
    failing = [each for each in conditions if each["type"] == "ReplicaFailure" and each["status"] == "True"]
    return ["refused: %s" % each.get("message", each.get("reason")) for each in failing]


def _events(app: App, pod: str) -> List[str]:
    """The last warnings about the pod."""
    if not pod:
        return []
    events = app.kubectl.get("events", "--field-selector=type=Warning,involvedObject.name=" + pod)
    events.sort(key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
    told = [(event.get("reason", ""), " ".join(event.get("message", "").split())) for event in events]
    lines = [": ".join(filter(None, ("event", *each))) for each in told]
    return list(dict.fromkeys(lines))[-EVENTS:]


def _log(app: App, pod: Object) -> Excerpt:
    """What the app said last: before it died, if it did; a moment later where a kubelet has just put that away."""
    for _ in range(LOG_TRIES):
        for before in (["--previous"], []):
            done = app.kubectl.call("logs", pod["metadata"]["name"], "--tail=%d" % LOG_LINES, *before)
            found = excerpt(
                "" if done.stdout.startswith(NO_LOG) else done.stdout, "/srv/%s/release" % app.kubectl.host.args["app"]
            )
            if not done.returncode and found.lines:
                return found
        time.sleep(1)
    return Excerpt([])


def _by_hand(app: App, pod: str) -> str:
    return "%s describe pod %s" % (app.kubectl.by_hand, pod)
