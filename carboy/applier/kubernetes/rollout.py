"""The gate: a release's pods come up beside the old ones and are healthy, or the reason why not is told."""

from __future__ import annotations

import os
import re
import select
import subprocess
import time
from typing import Callable, Dict, List, Optional

from carboy.applier.kubernetes.app import App, ready
from carboy.applier.kubernetes.explain import explain
from carboy.applier.kubernetes.kubectl import Unreachable
from carboy.applier.kubernetes.manifest import RELEASE, Object

LOOK_SECONDS = 1.0
# The last probe may take so long.
SPARE_SECONDS = 5
# More than one kubelet's sync, so that a pull that only stutters is not taken for one that cannot succeed.
PULLS = re.compile("ImagePullBackOff|ErrImageNeverPull|InvalidImageName")
HOPELESS = re.compile(PULLS.pattern + "|CreateContainer(Config)?Error|RunContainerError|CrashLoopBackOff")


class Rollout:
    """The coming of one release."""

    def __init__(self, app: App, release: str) -> None:
        self.app, self.release = app, release
        self._starting: Dict[str, float] = {}

    def prove(self, say: Callable[[str], None]) -> None:
        """Return when all pods are of the release and well; raises `Failure` as soon as that is not to be expected."""
        pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        limit = "--timeout=%ds" % (self.app.deadline + 30)
        with self.app.kubectl.begin("rollout", "status", "deployment/" + self.app.name, limit, **pipe) as watching:
            try:
                said = self._follow(watching, say)
            finally:
                watching.kill()
        if watching.returncode:
            raise explain(self.app, self.release, self.trouble() or self._stuck(), said)

    def trouble(self) -> Optional[Object]:
        """A pod of the release that will not come up by itself."""
        return next((pod for pod in self._pods() if _hopeless(pod) or self._late(pod)), None)

    def _follow(self, watching: "subprocess.Popen[bytes]", say: Callable[[str], None]) -> str:
        """Pass on what `rollout status` says, until it ends or a pod is hopeless; returns its last words."""
        assert watching.stdout
        said, buffer = "", b""
        while True:
            ready = select.select([watching.stdout], [], [], LOOK_SECONDS)[0]
            data = os.read(watching.stdout.fileno(), 65536) if ready else b""
            *lines, buffer = (buffer + data).split(b"\n")
            for line in filter(None, (each.decode("utf-8", "replace").strip() for each in lines)):
                if line != said:
                    say(line)
                said = line
            if ready and not data:
                watching.wait()
                return said
            pod = self._look() if not ready else None
            if pod:
                raise explain(self.app, self.release, pod, said)

    def _look(self) -> Optional[Object]:
        """The trouble there is at this moment, if that can be seen: else `rollout status` decides."""
        try:
            return self.trouble()
        except Unreachable:
            return None

    def _late(self, pod: Object) -> bool:
        """Whether a start takes longer than it may; a kubelet may need another minute to see that."""
        if not any(map(_starts, _statuses(pod))):
            return False
        began = self._starting.setdefault(pod["metadata"]["name"], time.monotonic())
        return time.monotonic() - began > self.app.start_timeout + SPARE_SECONDS

    def _stuck(self) -> Optional[Object]:
        """A pod of the release that is not ready, when time is over."""
        return next((pod for pod in self._pods() if not ready(pod)), None)

    def _pods(self) -> List[Object]:
        """The pods of the release, without those that an earlier attempt left and that are ending."""
        pods = self.app.pods("%s=%s" % (RELEASE, self.release))
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def _hopeless(pod: Object) -> bool:
    """Whether it waits for what does not come, or died already: what is healthy lives through its start."""
    for status in _statuses(pod):
        waits = status.get("state", {}).get("waiting", {}).get("reason", "")
        if HOPELESS.search(waits) or (status.get("restartCount", 0) and not ready(pod)):
            return True
    return False


def _starts(status: Object) -> bool:
    return "running" in status.get("state", {}) and not status.get("started")


def _statuses(pod: Object) -> List[Object]:
    return list(pod.get("status", {}).get("containerStatuses", []))
