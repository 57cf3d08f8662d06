"""The switch of an app from the release that serves to another one, without refusing a request."""

from __future__ import annotations

import contextlib
import time
from typing import Optional

from carboy.applier import hooks, probe, runtime
from carboy.applier.host import link
from carboy.applier.policy import Policy
from carboy.applier.prune import prune
from carboy.applier.receipt import DURING, Prober
from carboy.applier.resource import Failure, Stranded
from carboy.applier.store import HEALTHY, Store
from carboy.applier.watch import Watch

DEPLOY = "deploy"
BASELINE_SECONDS = 1.0


class Switch:
    """One switch of an app to a release that is complete on this host."""

    def __init__(self, store: Store, release: str, policy: Policy) -> None:
        self.store, self.host = store, store.host
        self.runtime = runtime.of(store)
        self.release = release
        self.policy = policy
        self._claim()
        self.began = time.monotonic()
        self.before = self.runtime.read()
        self.gate = store.record(release)["gate"]
        self.hooked = False

    def run(self, action: str) -> None:
        """Judge, switch, watch, remember, prune; whatever raises `Failure` leaves what served before serving."""
        prober = self._prober()
        try:
            self.runtime.await_hooks()
            self._judge()
            self.hooked = action == DEPLOY and hooks.run(self.runtime, self.release, hooks.BEFORE)
            self._replace(action, prober)
        except Failure as failure:
            with contextlib.suppress(Exception):
                self._remember(action, "failed", failure.what)
            raise
        finally:
            if prober:
                self.host.stream.emit("receipt", **prober.stop())
        self._tidy()

    def _claim(self) -> None:
        """Raise `Failure` if the release was made for another runtime than the one that runs the app now."""
        made_for, declared = self.store.runtime(self.release), self.host.args.get("runtime", "systemd")
        if made_for not in ("", declared):
            what = "%s is a release for %s, and app_runtime is %s" % (self.release, made_for, declared)
            raise Failure(what, hint="roll back to another one, see invoke history; or deploy what it was made of")

    def _tidy(self) -> None:
        """Point people here, and take away what is of no use any more; the switch is done, whatever comes of this."""
        try:
            # Late: a run that dies before it leaves drift, which the next one finds.
            link(self.store.home / "current", "releases/" + self.release)
            freed = prune(self.store, self.release, self.policy.keep)
            self.runtime.sweep(self.release)
        except Exception as problem:
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
            self.runtime.discard_candidate(leftover)
        # A release that already served well need not be tried out: it still has to be healthy before the old one goes.
        if self.release not in {*self.before.serving, *self.store.healthy()}:
            self.runtime.judge(self.release)

    def _replace(self, action: str, prober: Optional[Prober]) -> None:
        """Put the release in the place of the others, and write down that it is there; or go back."""
        began = time.monotonic()
        try:
            self.runtime.join(self.release, self.before)
            seconds = time.monotonic() - began
            self.runtime.prove(self.release)
            watch = Watch(self.runtime, self.release, self.policy, prober)
            if action == DEPLOY and self.previous:
                watch.beside()
            watch.alone(self.runtime.succeed(self.release, self.before))
            self._end_others()
            if action == DEPLOY:
                hooks.run(self.runtime, self.release, hooks.AFTER)
            self._remember(action, HEALTHY)
        except Exception as problem:
            # Whatever it is, a fault of Carboy's too: what served before must serve again.
            failure = problem if isinstance(problem, Failure) else Failure(str(problem) or repr(problem))
            self._go_back()
            hint = "; ".join(filter(None, (self._who_serves(), failure.hint)))
            raise Failure(failure.what, details=failure.details, hint=hint) from problem
        self.host.stream.emit("cutover", release=self.release, before=self.previous, seconds=round(seconds, 3))

    def _end_others(self) -> None:
        """Stop what a request started again between the beginning of its stop and the choice."""
        state = self.runtime.read()
        if state.serving != [self.release]:
            self.runtime.succeed(self.release, state).wait()

    def _go_back(self) -> None:
        """Bring back what served before; if nothing did take the new one down, if this one alone did let it be."""
        try:
            if self.previous:
                self.host.say("going back to %s" % self.previous)
                if self.previous not in self.runtime.read().serving:
                    self.runtime.revive(self.previous, self.release)
                now = self.runtime.read()
                self.runtime.join(self.previous, now)
                self.runtime.succeed(self.previous, now).wait()
                self.runtime.discard(self.release)
            elif self.release not in self.before.serving:
                self.runtime.take_down(self.release, self.before)
            elif self.release not in self.runtime.read().serving:
                raise Failure("%s served before, and does not any more" % self.release)
        except Exception as worse:
            raise Stranded(
                "the switch failed, and so did the way back: %s" % worse,
                details=getattr(worse, "details", ""),
                hint="look at the host now: %s" % self.runtime.inquiry,
            ) from worse

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
