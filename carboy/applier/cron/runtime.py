"""cron looks after the app: each release is an instance, and the public socket goes from one's keeper to the next."""

from __future__ import annotations

import contextlib
import subprocess
from typing import Any, Dict, List, Optional, Tuple

from carboy.applier import probe, runtime
from carboy.applier.cron.instances import CANDIDATE, Instances
from carboy.applier.probe import Answer
from carboy.applier.resource import Failure
from carboy.applier.runtime import State
from carboy.applier.store import Store


class Runtime(runtime.Runtime):
    """The app's instances, and what is to be done with them."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.instances = Instances(store)

    def read(self) -> State:
        """Read which instances live, and which release cron looks after."""
        return self.instances.read()

    def as_released(self, release: str, state: State) -> bool:
        """Whether a keeper holds the socket for it; all else that it runs by is in its own folder."""
        return self.instances.kept(release)

    def about(self, release: str, state: State) -> Dict[str, Any]:
        """What is written down of the instance."""
        since, restarts = int(self.instances.started(release)), int(self.instances.text(release, "restarts") or 0)
        return {"pid": int(self.instances.main(release)["pid"]), "restarts": restarts, "since": since}

    def address(self, release: str) -> probe.Address:
        """The private socket of the instance."""
        return str(self.instances.file(release, "sock"))

    def vital(self, release: str) -> str:
        """Which process it is."""
        return self.instances.text(release, "pid") if self.instances.lives(release) else ""

    def judge(self, release: str) -> None:
        """Start the release on a private socket alone."""
        gate = self.store.record(release)["gate"]
        instance = release + CANDIDATE
        self.discard_candidate(release)
        self.host.say("starting %s on a private socket" % release)
        try:
            self._start("the new release does not start", release, "begin", "candidate")
            answer = probe.ask(str(self.instances.file(instance, "sock")), gate["health"], gate["start_timeout"])
            if not answer.healthy:
                what = "does not start" if not self.instances.lives(instance) else "is not healthy"
                raise self._explained(instance, "the new release " + what, answer)
            self._prove(release, instance)
        finally:
            self.discard_candidate(release)

    def discard_candidate(self, release: str) -> None:
        """Kill a candidate and forget it."""
        self.instances.control(release, "kill", release + CANDIDATE)

    def join(self, release: str, state: State) -> None:
        """Start an instance that takes a share of the public socket, if there is none that is as it should be."""
        runs = release in state.serving
        if not (runs and self.instances.kept(release)):
            self.host.say("%s joins the public socket" % release)
            if runs:
                self._replace(release)
            else:
                self._start("%s does not start" % release, release, "join")
        self._await(release)

    def _await(self, release: str) -> None:
        """Wait until it is well for the first time."""
        if self.instances.file(release, "well").exists():
            return
        gate = self.store.record(release)["gate"]
        answer = probe.ask(self.address(release), gate["health"], gate["start_timeout"])
        if not answer.healthy:
            raise self.failure(release, "%s is not healthy" % release, answer)
        # From now on a silence is no slow start any more.
        self.instances.file(release, "well").touch()

    def prove(self, release: str) -> None:
        """Raise `Failure` unless all processes of the instance are of the release."""
        self._prove(release, release)

    def succeed(self, release: str, state: State) -> "subprocess.Popen[bytes]":
        """Choose the release, then begin to end all others; what is returned ends when they are gone."""
        self.instances.choose(release)
        return self._end(release, self.instances.left(release))

    def revive(self, release: str, sick: str) -> None:
        """Choose and start a release that has just ended; the sick one ends when this one serves."""
        with contextlib.suppress(OSError):
            self.instances.choose(release)
        # Before the keeper of the sick one ends, and closes the public socket; requests that come now wait in it.
        self.instances.control(release, "join")
        self.discard(sick)

    def discard(self, release: str) -> None:
        """End what is left of a release that failed."""
        self.instances.control(release, "end", release)

    def take_down(self, release: str, before: State) -> None:
        """End it; what cron looked after before, it looks after again."""
        self.instances.restore(before)
        self.discard(release)

    def execute(self, release: str, moment: str) -> Tuple[str, str]:
        """Run a hook as an instance of its own."""
        from carboy.applier.cron import hooks

        return hooks.execute(self.instances, release, moment)

    def await_hooks(self) -> None:
        """Wait for a hook that a killed run left behind."""
        if self.instances.hooks():
            from carboy.applier.cron import hooks

            hooks.await_left(self.instances)

    def sweep(self, release: str) -> None:
        """End what earlier runs did not bring to an end, and remove what other releases left in /run."""
        self._end(release, self.instances.left(release)).wait()
        self.instances.sweep(release)

    def name(self, release: str) -> str:
        """People call it by the app's name."""
        return "%s (release %s)" % (self.store.app, release)

    @property
    def inquiry(self) -> str:
        """What the control script says."""
        return "%s status" % self.instances.choice

    def failure(self, release: str, what: str, answer: Optional[Answer] = None) -> Failure:
        """Explained with what the instance, its logs and the host say."""
        return self._explained(release, what, answer)

    def _start(self, what: str, release: str, *words: str) -> None:
        done = self.instances.control(release, *words)
        if done.returncode:
            raise Failure("%s: %s" % (what, done.stderr.strip()), hint="mend that and deploy again")

    def _replace(self, release: str) -> None:
        """What serves without a keeper, or is to be started anew, is replaced by the script, which also awaits it."""
        done = self.instances.control(release, "restart")
        if done.returncode:
            raise self.failure(release, "%s does not start anew: %s" % (release, done.stderr.strip()))

    def _end(self, release: str, others: List[str]) -> "subprocess.Popen[bytes]":
        return self.host.begin(str(self.instances.script(release)), "end", *others)

    def _prove(self, release: str, instance: str) -> None:
        from carboy.applier import coherence

        found = coherence.findings(self.store.home, release, str(self.instances.file(instance, "pid")))
        if found:
            hint = "nothing should change a release; deploy again, and it is built anew"
            raise Failure("%s does not run as it was built" % release, details="\n".join(found), hint=hint)

    def _explained(self, instance: str, what: str, answer: Optional[Answer] = None) -> Failure:
        from carboy.applier.cron import explain

        return explain.failure(self.instances, instance, what, answer)
