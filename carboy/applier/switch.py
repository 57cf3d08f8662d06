"""The switch of an app from the release that serves to another one, without refusing a request."""

from __future__ import annotations

import contextlib
import subprocess
import time
from typing import Optional

from carboy.applier import candidate, hooks, listener, probe
from carboy.applier.explain import failure as explained
from carboy.applier.host import link
from carboy.applier.policy import Policy
from carboy.applier.prune import prune
from carboy.applier.receipt import DURING, Prober
from carboy.applier.resource import Failure, Stranded
from carboy.applier.store import HEALTHY, Store
from carboy.applier.units import NOT_RELOADED, State, Units
from carboy.applier.watch import Watch

DEPLOY = "deploy"
BASELINE_SECONDS = 1.0


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
        self.hooked = False

    def run(self, action: str) -> None:
        """Judge, switch, watch, remember, prune; whatever raises `Failure` leaves what served before serving."""
        prober = self._prober()
        try:
            self._judge()
            self.hooked = action == DEPLOY and hooks.run(self.units, self.release, hooks.BEFORE)
            self._replace(action, prober)
        except Failure as failure:
            with contextlib.suppress(Exception):
                self._remember(action, "failed", failure.what)
            raise
        finally:
            if prober:
                self.host.stream.emit("receipt", **prober.stop())
        self._tidy()

    def _tidy(self) -> None:
        """Point people here, and take away what is of no use any more; the switch is done, whatever comes of this."""
        try:
            # Late: a run that dies before it leaves drift, which the next one finds.
            link(self.store.home / "current", "releases/" + self.release)
            self.units.sweep(self.release)
            freed = prune(self.store, self.release, self.policy.keep)
        except (OSError, ValueError) as problem:
            freed = "nothing: %s" % problem
        if freed:
            self.host.say("pruned %s" % freed)

    @property
    def previous(self) -> Optional[str]:
        """The release that served before and can serve again: the chosen one, else one that is proven, else any."""
        others = [name for name in self.before.serving if name != self.release]
        ranked = [self.before.chosen, *reversed(self.store.healthy()), *others]
        return next((name for name in ranked if name in others), None)

    def _prober(self) -> Optional[Prober]:
        """Have the public address asked from now on, if a receipt is wanted."""
        if not self.host.args.get("receipt"):
            return None
        prober = Prober(probe.address(self.gate["listen"]), self.policy.receipt_path, self.policy.receipt_clients)
        self.host.say("asking for %s all the while" % self.policy.receipt_path)
        prober.start(BASELINE_SECONDS)
        prober.phase(DURING)
        return prober

    def _judge(self) -> None:
        for leftover in self.before.candidates:
            candidate.discard(self.units, leftover)
        # A release that already served well need not be tried out: it still has to be healthy before the old one goes.
        if self.release not in {*self.before.serving, *self.store.healthy()}:
            candidate.judge(self.units, self.release)

    def _replace(self, action: str, prober: Optional[Prober]) -> None:
        """Put the release in the place of the others, and write down that it is there; or go back."""
        began = time.monotonic()
        try:
            self._join(self.release, self.before)
            seconds = time.monotonic() - began
            candidate.prove(self.units, self.release, self.units.instance(self.release))
            watch = Watch(self.units, self.release, self.policy, prober)
            if action == DEPLOY and self.previous:
                watch.beside()
            watch.alone(self._succeed(self.release, self.before))
            self._end_others()
            if action == DEPLOY:
                hooks.run(self.units, self.release, hooks.AFTER)
            self._remember(action, HEALTHY)
        except Exception as problem:
            # Whatever it is, a fault of Carboy's too: what served before must serve again.
            failure = problem if isinstance(problem, Failure) else Failure(str(problem) or repr(problem))
            self._go_back()
            hint = "; ".join(filter(None, (self._who_serves(), failure.hint)))
            raise Failure(failure.what, details=failure.details, hint=hint) from problem
        self.host.stream.emit("cutover", release=self.release, before=self.previous, seconds=round(seconds, 3))

    def _join(self, release: str, state: State) -> None:
        """Have the release serve the public socket, beside the others if there are any, and be healthy."""
        self.units.forgive(state)
        self.host.stale_units = self.host.stale_units or state.socket == NOT_RELOADED
        runs = release in state.serving
        # What systemd still holds of it may be of a file that is gone.
        self.host.stale_units = self.host.stale_units or (not runs and self.units.instance(release) in state.shown)
        sound = runs and self.units.as_released(release, state)
        moves = listener.moves(self.units, release)
        if moves:
            listener.check(self.units, release, state.serving)
        if moves or not sound:
            self.units.refresh(release)
        if moves or state.socket != "active":
            running = [self.units.instance(name) for name in state.serving]
            sound = listener.open_for(self.units, release, running, moves) and sound
        if moves or not sound:
            self._start(release, "restart" if runs else "start")

    def _succeed(self, release: str, state: State) -> "subprocess.Popen[bytes]":
        """Begin to stop the others, which drain, and choose the release; what is returned ends when they are gone."""
        # What a killed run left draining is waited for, too.
        others = [self.units.instance(name) for name in (*state.serving, *state.draining) if name != release]
        # Begun before the choice, which takes systemd a moment: until then either release would be started on demand.
        stopping = self.host.begin("systemctl", "stop", *others) if others else self.host.begin("true")
        self.units.choose(release)
        return stopping

    def _end_others(self) -> None:
        """Stop what a request started again between the beginning of its stop and the choice."""
        state = self.units.read()
        if state.serving != [self.release]:
            self._succeed(self.release, state).wait()

    def _start(self, release: str, verb: str) -> None:
        unit, gate = self.units.instance(release), self.store.record(release)["gate"]
        self.host.say("%s joins the public socket" % release)
        if self.host.call("systemctl", verb, unit).returncode:
            raise explained(self.units, unit, "%s does not start" % unit)
        answer = probe.ask(self.units.probe_address(release), gate["health"], gate["start_timeout"])
        if not answer.healthy:
            raise explained(self.units, unit, "%s is not healthy" % unit, answer)

    def _go_back(self) -> None:
        """Bring back what served before; if nothing did take the new one down, if this one alone did let it be."""
        try:
            if self.previous:
                self.host.say("going back to %s" % self.previous)
                if self.previous not in self.units.read().serving:
                    # It drains and cannot start before it has ended; the socket lets requests wait, the sick fail them.
                    # Chosen first, lest they start the sick one again, if the disk has room for the choice.
                    with contextlib.suppress(OSError):
                        self.units.choose(self.previous)
                    self.units.discard(self.release)
                    # Before anything that takes room on a disk.
                    self.host.call("systemctl", "start", self.units.instance(self.previous))
                now = self.units.read()
                self._join(self.previous, now)
                self._succeed(self.previous, now).wait()
                self.units.discard(self.release)
            elif self.release not in self.before.serving:
                self._take_down()
            elif self.release not in self.units.read().serving:
                raise Failure("%s served before, and does not any more" % self.release)
        except Exception as worse:
            raise Stranded(
                "the switch failed, and so did the way back: %s" % worse,
                details=getattr(worse, "details", ""),
                hint="look at the host now: systemctl status '%s@*' %s" % (self.store.app, self.units.socket),
            ) from worse

    def _take_down(self) -> None:
        """Leave what was there: nothing that serves, but perhaps a release that the next request starts."""
        chosen = self.before.chosen
        if self.before.socket != "active" or not chosen:
            self.host.call("systemctl", "stop", self.units.socket)
        self.units.discard(self.release)
        if chosen and chosen != self.release:
            self.units.choose(chosen)
        else:
            self.units.unchoose()

    def _who_serves(self) -> str:
        if self.previous:
            return "%s serves again" % self.previous
        if self.release in self.before.serving:
            return "%s served alone before and was left running" % self.release
        return "nothing served before, and nothing serves now"

    def _remember(self, action: str, outcome: str, why: str = "") -> None:
        record = {"action": action, "release": self.release, "previous": self.previous, "outcome": outcome}
        revision = self.store.record(self.release)["revision"]
        switched = outcome == HEALTHY and action == DEPLOY
        final = not self.gate.get("reversible", True) and (switched or self.hooked)
        more = {key: value for key, value in (("why", why), ("revision", revision), ("irreversible", final)) if value}
        self.store.remember(**record, **self.host.holder, seconds=round(time.monotonic() - self.began, 2), **more)
