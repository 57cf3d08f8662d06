"""The switch of an app from the release that serves to another one, without refusing a request."""

from __future__ import annotations

import contextlib
import subprocess
import time
from typing import List, Optional

from carboy.applier import candidate, listener, probe, systemd
from carboy.applier.host import link
from carboy.applier.policy import Policy
from carboy.applier.prune import prune
from carboy.applier.resource import Failure, Stranded
from carboy.applier.store import HEALTHY, Store
from carboy.applier.units import NOT_RELOADED, State, Units

PUBLIC_SECONDS = 5.0
WATCH_PAUSE = 0.1
LAST_LINES = 15


class Switch:
    """One switch of an app to a release that is complete on this host."""

    def __init__(self, store: Store, release: str, policy: Policy) -> None:
        self.store, self.host = store, store.host
        self.units = Units(store)
        self.release = release
        self.policy = policy
        self.began = time.monotonic()
        self.before = self.units.read()
        self.gate = store.record(release)["gate"]

    def run(self, action: str) -> None:
        """Judge, switch, watch, remember, prune; whatever raises `Failure` leaves what served before serving."""
        try:
            self._judge()
            self._replace(action)
        except Failure as failure:
            with contextlib.suppress(OSError):
                self._remember(action, "failed", failure.what)
            raise
        for other in self.before.serving:
            if other != self.release:
                self.units.retire(other)
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

    def _replace(self, action: str) -> None:
        """Put the release in the place of the others, and write down that it is there; or go back."""
        began = time.monotonic()
        try:
            stopping = self._serve(self.release, self.before)
            seconds = time.monotonic() - began
            self._watch(stopping)
            self._remember(action, HEALTHY)
        except (Failure, OSError) as problem:
            failure = problem if isinstance(problem, Failure) else Failure(str(problem))
            self._go_back()
            raise Failure(failure.what, details=failure.details, hint=self._who_serves()) from problem
        # The last step: a run that dies before it leaves drift, which the next one finds.
        link(self.store.home / "current", "releases/" + self.release)
        self.host.stream.emit("cutover", release=self.release, before=self.previous, seconds=round(seconds, 3))

    def _serve(self, release: str, state: State) -> subprocess.Popen[bytes]:
        """Start the release beside the others, begin to stop these, which drain, and choose it."""
        self.units.forgive(state)
        self.host.stale_units = self.host.stale_units or state.socket == NOT_RELOADED
        runs = release in state.serving
        sound = runs and self.units.as_released(release, state)
        running = [self.units.instance(name) for name in state.serving]
        moves = self._listener_moves(release)
        if moves:
            self._reopen(release)
        if moves or not sound:
            self.units.refresh(release)
        if moves or state.socket != "active":
            sound = self._open(release, running) and sound
        if moves or not sound:
            self._start(release, "restart" if runs else "start")
        # Begun before the choice, which takes systemd a moment: until then either release would be started on demand.
        others = [unit for unit in running if unit != self.units.instance(release)]
        stopping = self.host.begin("systemctl", "stop", *others) if others else self.host.begin("true")
        self.units.choose(release)
        return stopping

    def _reopen(self, release: str) -> None:
        """Take the public socket down to have it at another address; what runs keeps the old one until it ends."""
        own = self.units.files(release)
        place = self.host.at(systemd.UNITS) / self.units.socket
        listener.claim(own[place], place)
        self.host.run("systemctl", "stop", self.units.socket)

    def _open(self, release: str, running: List[str]) -> bool:
        """Start the public socket, which needs to know a release; False if what ran held its address and had to end."""
        self.units.choose(release)
        start = ("systemctl", "start", self.units.socket)
        if not self.host.call(*start).returncode:
            return True
        if running:
            self.host.say("what serves holds the public address: stopping it first")
            self.host.run("systemctl", "stop", *running)
        if not running or self.host.call(*start).returncode:
            said = self.host.call("journalctl", "-q", "-o", "cat", "-n", "5", "-u", self.units.socket).stdout.strip()
            listen = self.store.record(release)["gate"]["listen"]
            raise Failure("the public address %s cannot be opened" % listen, details=said)
        return False

    def _start(self, release: str, verb: str) -> None:
        unit, gate = self.units.instance(release), self.store.record(release)["gate"]
        self.host.say("%s joins the public socket" % release)
        if self.host.call("systemctl", verb, unit).returncode:
            raise self._breach("%s does not start" % unit)
        answer = probe.ask(self.units.probe_address(release), gate["health"], gate["start_timeout"])
        if not answer.healthy:
            raise self._breach("%s is not healthy: %s" % (unit, answer))

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
        facts = candidate.explain(self.host, self.units.instance(self.release))
        log = self.host.at("/var/log/%s/error.log" % self.store.app)
        last = log.read_text(errors="replace").splitlines()[-LAST_LINES:] if log.exists() else []
        return Failure(what, details="\n".join([facts, *last]))

    def _go_back(self) -> None:
        """Bring back what served before; if nothing did take the new one down, if this one alone did let it be."""
        try:
            if self.previous:
                self.host.say("going back to %s" % self.previous)
                if self.previous not in self.units.read().serving:
                    # It drains and cannot start before it has ended; the socket lets requests wait, the sick fail them.
                    self.units.discard(self.release)
                self._serve(self.previous, self.units.read()).wait()
                self.units.discard(self.release)
            elif self.release not in self.before.serving:
                self.host.call("systemctl", "stop", self.units.socket)
                self.units.discard(self.release)
                self.units.unchoose()
        except (Failure, OSError) as worse:
            raise Stranded(
                "the switch failed, and so did the way back: %s" % worse,
                details=getattr(worse, "details", ""),
                hint="look at the host now: systemctl status '%s@*' %s" % (self.store.app, self.units.socket),
            ) from worse

    def _who_serves(self) -> str:
        if self.previous:
            return "%s serves again" % self.previous
        if self.release in self.before.serving:
            return "%s served alone before and was left running" % self.release
        return "nothing served before, and nothing serves now"

    def _listener_moves(self, release: str) -> bool:
        """Whether the public socket would have to be opened anew: its unit says other things than the installed one."""
        place = self.host.at(systemd.UNITS) / self.units.socket
        return place.exists() and systemd.said(place) != systemd.said(self.units.files(release)[place])

    def _remember(self, action: str, outcome: str, why: str = "") -> None:
        record = {"action": action, "release": self.release, "previous": self.previous, "outcome": outcome}
        revision = self.store.record(self.release)["revision"]
        more = {key: value for key, value in (("why", why), ("revision", revision)) if value}
        self.store.remember(**record, **self.host.holder, seconds=round(time.monotonic() - self.began, 2), **more)
