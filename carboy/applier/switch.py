"""The switch of an app from the release that serves to another one, without refusing a request."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from typing import List, Optional

from carboy.applier import candidate, probe, systemd
from carboy.applier.host import ENVIRONMENT, link
from carboy.applier.prune import prune
from carboy.applier.resource import Failure, Stranded
from carboy.applier.store import HEALTHY, Store
from carboy.applier.units import NOT_RELOADED, Units

PUBLIC_SECONDS = 5.0
WATCH_PAUSE = 0.1


@dataclass(frozen=True)
class Policy:
    """Seconds to watch the public socket after a switch, and the number of healthy releases to keep."""

    watch: float = 3.0
    keep: int = 5


class Switch:
    """One switch of an app to a release that is complete on this host."""

    def __init__(self, store: Store, release: str, policy: Policy) -> None:
        self.store, self.host = store, store.host
        self.units = Units(store)
        self.release = release
        self.policy = policy
        self.before = self.units.read()
        self.gate = store.record(release)["gate"]

    def run(self, action: str) -> None:
        """Judge, switch, watch, remember, prune; whatever raises `Failure` leaves what served before serving."""
        began = time.monotonic()
        try:
            self._judge()
            seconds = self._replace()
        except Failure as failure:
            self._remember(action, "failed", began, why=failure.what)
            raise
        self._remember(action, HEALTHY, began)
        # The last step: a run that dies before it leaves drift, which the next one finds.
        link(self.store.home / "current", "releases/" + self.release)
        self.host.stream.emit("cutover", release=self.release, before=self.previous, seconds=round(seconds, 3))
        freed = prune(self.store, self.release, self.policy.keep)
        if freed:
            self.host.say("pruned %s" % freed)

    @property
    def previous(self) -> Optional[str]:
        """The release that served before and can serve again: the chosen one, else one that is proven, else any."""
        others = [name for name in self.before.serving if name != self.release]
        ranked = [self.before.chosen, *reversed(self.store.healthy()), *others]
        return next((name for name in ranked if name in others), None)

    def _judge(self) -> None:
        for leftover in self.before.candidates:
            candidate.discard(self.units, leftover)
        # A release that already served well need not be tried out: it still has to be healthy before the old one goes.
        if self.release not in {*self.before.serving, *self.store.healthy()}:
            candidate.judge(self.units, self.release)

    def _replace(self) -> float:
        """Put the release in the place of the others; returns the seconds until it alone served the public."""
        began = time.monotonic()
        try:
            stopping = self._serve(self.release)
            seconds = time.monotonic() - began
            self._watch(stopping)
        except Failure as failure:
            self._go_back()
            raise Failure(failure.what, details=failure.details, hint=self._who_serves()) from failure
        for other in self.before.serving:
            if other != self.release:
                self.units.retire(other)
        return seconds

    def _serve(self, release: str) -> subprocess.Popen[bytes]:
        """Start the release beside the others, choose it, and begin to stop the others, which drain."""
        state = self.units.read()
        self.host.stale_units = self.host.stale_units or state.socket == NOT_RELOADED
        others = [self.units.instance(name) for name in state.serving if name != release]
        moves = self._listener_moves(release)
        restart = release in state.serving and not self.units.as_released(release)
        if moves:
            self.host.say("the public address changes: stopping what serves on the old one")
            self.host.run("systemctl", "stop", self.units.socket, *others)
        self.units.install(release)
        if moves or state.socket != "active":
            self._open(release)
        if restart or release not in state.serving or moves:
            self._start(release, "restart" if restart else "start")
        self.units.choose(release)
        return self._stop(others)

    def _open(self, release: str) -> None:
        """Start the public socket, which needs to know a release; after a crash loop it is down with its service."""
        self.units.choose(release)
        self.host.call("systemctl", "reset-failed", self.units.socket, self.units.instance(release))
        if self.host.call("systemctl", "start", self.units.socket).returncode:
            said = self.host.call("journalctl", "-q", "-o", "cat", "-n", "5", "-u", self.units.socket).stdout.strip()
            listen = self.store.record(release)["gate"]["listen"]
            raise Failure("the public address %s cannot be opened" % listen, details=said)

    def _start(self, release: str, verb: str) -> None:
        unit, gate = self.units.instance(release), self.store.record(release)["gate"]
        self.host.say("%s joins the public socket" % release)
        self.host.call("systemctl", "reset-failed", unit, self.units.probe_socket(release))
        if self.host.call("systemctl", verb, unit).returncode:
            raise self._breach("%s does not start" % unit)
        answer = probe.ask(self.units.probe_address(release), gate["health"], gate["start_timeout"])
        if not answer.healthy:
            raise self._breach("%s is not healthy: %s" % (unit, answer))

    def _stop(self, units: List[str]) -> subprocess.Popen[bytes]:
        command = ["systemctl", "stop", *units] if units else ["true"]
        return subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)

    def _watch(self, stopping: subprocess.Popen[bytes]) -> None:
        """Ask for health until the others are gone and the time is over; nothing may restart meanwhile."""
        unit, private = self.units.instance(self.release), self.units.probe_address(self.release)
        public = probe.address(self.gate["listen"])
        until = time.monotonic() + self.policy.watch
        restarts = systemd.show(self.host, unit)[unit]["NRestarts"]
        while True:
            # A release that drains would answer some public questions, and may not know the new one's health path.
            alone = stopping.poll() is not None
            answer = probe.ask(public if alone else private, self.gate["health"], PUBLIC_SECONDS)
            if not answer.healthy:
                raise self._breach("not healthy after the switch: %s" % answer)
            if alone and time.monotonic() >= until:
                break
            time.sleep(WATCH_PAUSE)
        shown = systemd.show(self.host, unit)[unit]
        if (shown["ActiveState"], shown["NRestarts"]) != ("active", restarts):
            raise self._breach("%s did not stay up" % unit)

    def _breach(self, what: str) -> Failure:
        return Failure(what, details=candidate.explain(self.host, self.units.instance(self.release)))

    def _go_back(self) -> None:
        """Bring back what served before; if nothing did take the new one down, if this one alone did let it be."""
        try:
            if self.previous:
                self.host.say("going back to %s" % self.previous)
                self._serve(self.previous).wait()
                self.units.discard(self.release)
            elif self.release not in self.before.serving:
                self.host.call("systemctl", "stop", self.units.socket)
                self.units.discard(self.release)
        except Failure as worse:
            raise Stranded(
                "the switch failed, and so did the way back: %s" % worse.what,
                details=worse.details,
                hint="look at the host now: systemctl status '%s@*' %s" % (self.store.app, self.units.socket),
            ) from worse

    def _who_serves(self) -> str:
        if self.previous:
            return "%s serves again" % self.previous
        if self.release in self.before.serving:
            return "%s served alone before and was left running" % self.release
        return "nothing served before, and nothing serves now"

    def _listener_moves(self, release: str) -> bool:
        """Whether the public socket would have to be opened anew: its unit differs from the installed one."""
        place = self.host.at(systemd.UNITS) / self.units.socket
        return place.exists() and place.read_bytes() != self.units.files(release)[place].read_bytes()

    def _remember(self, action: str, outcome: str, began: float, why: str = "") -> None:
        record = {"action": action, "release": self.release, "previous": self.previous, "outcome": outcome}
        revision = self.store.record(self.release)["revision"]
        more = {key: value for key, value in (("why", why), ("revision", revision)) if value}
        self.store.remember(**record, **self.host.holder, seconds=round(time.monotonic() - began, 2), **more)
