"""One run at a time per app, from whichever machine: a Lease in the cluster, which ends by itself with its holder."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from typing import Any, Iterator

from carboy.applier.kubernetes.app import App
from carboy.applier.kubernetes.manifest import Object
from carboy.applier.resource import Failure, Locked

KIND = "leases.coordination.k8s.io"
# A holder that says nothing for so long is dead; one that lives says so three times in it.
SECONDS = 10
PAUSE_SECONDS = 0.5
TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
TAKEN = ("AlreadyExists", "Conflict")


class Lease:
    """The lock of an app; `take` it, have it `kept` while the work is done, and `free` it."""

    def __init__(self, app: App) -> None:
        self.app, self.kubectl = app, app.kubectl
        self.name = "carboy-" + app.name
        self.lost = False
        self._version = ""
        self._seen = ("", 0.0)
        self._alive = False

    def take(self, wait: float) -> None:
        """Take it, or raise `Locked` after `wait` seconds."""
        host, deadline, told = self.kubectl.host, time.monotonic() + wait, False
        while not self._try():
            other = str(self._found["spec"].get("holderIdentity", "a run that is just starting"))
            if time.monotonic() >= deadline and not self._stale():
                hint = "wait for it (--wait 60); if it was killed this ends by itself within %d s" % SECONDS
                raise Locked("another run holds %s: %s" % (self.app.name, other), hint=hint)
            if not told:
                host.say("waiting for the lock, held by %s" % other)
                told = True
            host.stream.pause(PAUSE_SECONDS)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Go on holding it within the block, which must not fork; raises `Failure` if it was lost already."""
        self._renew()
        self.check()
        over = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(over,), daemon=True)
        keeper.start()
        try:
            yield
        finally:
            over.set()
            keeper.join()

    def check(self) -> None:
        """Raise `Failure` if it was lost, as when this machine slept for a while."""
        if self.lost:
            raise Failure("the lock of %s was lost to another run" % self.app.name, hint="see: invoke status")

    def free(self) -> None:
        """Let others have it at once."""
        with suppress(Failure):
            self._change(holderIdentity=None)

    def _try(self) -> bool:
        """Take it if nobody has it; who loses a race sees what the winner wrote."""
        found = self.kubectl.get(KIND, self.name)
        self._found: Object = found[0] if found else {"spec": {}}
        spec = self._found["spec"]
        if spec.get("holderIdentity") and not self._dead(str(spec.get("renewTime"))):
            return False
        verb, meta = ("replace", self._found["metadata"]) if found else ("create", {"name": self.name})
        kept = {name: meta[name] for name in ("name", "resourceVersion") if name in meta}
        wanted = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": kept, "spec": self._spec()}
        return self._send(verb, "-f", "-", stdin=json.dumps(wanted))

    def _spec(self) -> Object:
        times = {"acquireTime": _now(), "renewTime": _now()}
        return {"holderIdentity": self._holder, "leaseDurationSeconds": SECONDS, **times}

    @property
    def _holder(self) -> str:
        return "%(who)s from %(where)s since %(since)s, run %(run)s" % self.kubectl.host.holder

    def _dead(self, renewed: str) -> bool:
        """Whether the holder has not renewed it for so long, by the clock of this machine alone."""
        if self._seen[0] != renewed:
            self._alive = bool(self._seen[0])
            self._seen = (renewed, time.monotonic())
        return time.monotonic() - self._seen[1] > SECONDS

    def _stale(self) -> bool:
        """Whether it looks dead by the time written in it and was not seen to live: worth to watch for a while."""
        if self._alive:
            # Its holder's clock is behind ours, no more.
            return False
        try:
            renewed = datetime.strptime(self._found["spec"]["renewTime"], TIME).replace(tzinfo=timezone.utc)
        except (KeyError, ValueError):
            return False
        return (datetime.now(timezone.utc) - renewed).total_seconds() > SECONDS

    def _keep(self, over: threading.Event) -> None:
        while not over.wait(SECONDS / 3):
            # A cluster that does not answer just now is asked again: only another holder ends this one.
            with suppress(Failure):
                self._renew()

    def _renew(self) -> None:
        self.lost = self.lost or not self._change(renewTime=_now())

    def _change(self, **spec: Any) -> bool:
        """Change what is ours; False if it is another run's by now."""
        # The answer to an earlier change may have been lost, and with it the version.
        return self._patch(spec) or (self._ours() and self._patch(spec))

    def _ours(self) -> bool:
        found = self.kubectl.get(KIND, self.name)
        ours = bool(found) and found[0]["spec"].get("holderIdentity") == self._holder
        # Under another run's version `free` would take it from that run.
        self._version = found[0]["metadata"]["resourceVersion"] if ours else self._version
        return ours

    def _patch(self, spec: Object) -> bool:
        change = {"metadata": {"resourceVersion": self._version}, "spec": spec}
        return self._send("patch", KIND, self.name, "--type=merge", "-p", json.dumps(change))

    def _send(self, *arguments: str, stdin: str = "") -> bool:
        """Whether the change was taken; False if another run was faster."""
        done = self.kubectl.call(*arguments, "-o", "jsonpath={.metadata.resourceVersion}", stdin=stdin)
        if not done.returncode:
            self._version = done.stdout.strip()
        elif not any(word in done.stderr for word in TAKEN):
            raise self.kubectl.refusal(done.stderr)
        return not done.returncode


def _now() -> str:
    return datetime.now(timezone.utc).strftime(TIME)
