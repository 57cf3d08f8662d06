"""systemd runs the app: each release is a service beside the public socket, which stays while they come and go."""

from __future__ import annotations

import contextlib
import subprocess
from typing import Any, Dict, Optional, Tuple

from carboy.applier import probe, runtime
from carboy.applier.probe import Answer
from carboy.applier.resource import Failure
from carboy.applier.runtime import State
from carboy.applier.store import Store
from carboy.applier.systemd import systemctl
from carboy.applier.systemd.units import NOT_RELOADED, Units


class Runtime(runtime.Runtime):
    """The app's units, and what is to be done with them."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.units = Units(store)

    def foresee(self) -> None:
        """Begin to ask systemd."""
        self.units.foresee()

    def read(self) -> State:
        """Read everything about the app's units, in one call to systemd."""
        return self.units.read()

    def as_released(self, release: str, state: State) -> bool:
        """Whether a release runs under the units that it brought, as they are installed now."""
        return self.units.as_released(release, state)

    def about(self, release: str, state: State) -> Dict[str, Any]:
        """What systemd says of the release's service."""
        unit = state.shown[self.units.instance(release)]
        since = int(systemctl.started(unit))
        return {"pid": int(unit["MainPID"]), "restarts": int(unit["NRestarts"]), "since": since}

    def address(self, release: str) -> probe.Address:
        """The private socket of the release's service."""
        return self.units.probe_address(release)

    def vital(self, release: str) -> str:
        """How often systemd has started it again."""
        unit = systemctl.show(self.host, self.name(release))[self.name(release)]
        return "restarts: %s" % unit["NRestarts"] if unit["ActiveState"] == "active" else ""

    def judge(self, release: str) -> None:
        """Start the release's own unit on a private socket."""
        from carboy.applier.systemd import candidate

        candidate.judge(self.units, release)

    def discard_candidate(self, release: str) -> None:
        """Kill a candidate and forget it."""
        from carboy.applier.systemd import candidate

        candidate.discard(self.units, release)

    def join(self, release: str, state: State) -> None:
        """Install the release's units, open the public socket if it is not, and start the service if need be."""
        from carboy.applier.systemd import listener

        self.units.forgive(state)
        self.host.stale_units = self.host.stale_units or state.socket == NOT_RELOADED
        runs = release in state.serving
        # What systemd still holds of it may be of a file that is gone.
        self.host.stale_units = self.host.stale_units or (not runs and self.name(release) in state.shown)
        sound = runs and self.units.as_released(release, state)
        moves = listener.moves(self.units, release)
        if moves:
            listener.check(self.units, release, state.serving)
        if moves or not sound:
            self.units.refresh(release)
        if moves or state.socket != "active":
            running = [self.name(each) for each in state.serving]
            sound = listener.open_for(self.units, release, running, moves) and sound
        if moves or not sound:
            self._start(release, "restart" if runs else "start")

    def prove(self, release: str) -> None:
        """Raise `Failure` unless all processes of the service are of the release."""
        from carboy.applier.systemd import candidate

        candidate.prove(self.units, release, self.name(release))

    def succeed(self, release: str, state: State) -> "subprocess.Popen[bytes]":
        """Begin to stop the others, which drain, and choose the release; what is returned ends when they are gone."""
        # What a killed run left draining is waited for, too.
        others = [self.name(each) for each in (*state.serving, *state.draining) if each != release]
        # Begun before the choice, which takes systemd a moment: until then either release would be started on demand.
        stopping = self.host.begin("systemctl", "stop", *others) if others else self.host.begin("true")
        self.units.choose(release)
        return stopping

    def revive(self, release: str, sick: str) -> None:
        """Choose and start a release that cannot start before it has ended, which it still may do."""
        # The socket lets requests wait, the sick fail them. Chosen first, lest they start the sick one again, if the
        # disk has room for the choice; started before anything else that takes room.
        with contextlib.suppress(OSError):
            self.units.choose(release)
        self.units.discard(sick)
        self.host.call("systemctl", "start", self.name(release))

    def discard(self, release: str) -> None:
        """Leave nothing of a release's service that failed."""
        self.units.discard(release)

    def take_down(self, release: str, before: State) -> None:
        """Leave what was there: nothing that serves, but perhaps a release that the next request starts."""
        if before.socket != "active" or not before.chosen:
            self.host.call("systemctl", "stop", self.units.socket)
        self.units.discard(release)
        if before.chosen and before.chosen != release:
            self.units.choose(before.chosen)
        else:
            self.units.unchoose()

    def await_hooks(self) -> None:
        """Wait for the units of hooks that still run."""
        from carboy.applier.systemd import hooks

        hooks.await_end(self.host, self.units.hook("*"))

    def execute(self, release: str, moment: str) -> Tuple[str, str]:
        """Run a hook as a unit of its own, in the sandbox of the release."""
        from carboy.applier.systemd import hooks

        return hooks.execute(self.units, release, moment)

    def sweep(self, release: str) -> None:
        """Remove the unit files of other releases, which keep their own copies."""
        self.units.sweep(release)

    def name(self, release: str) -> str:
        """The service of a release."""
        return self.units.instance(release)

    @property
    def inquiry(self) -> str:
        """What systemd shows of the app."""
        return "systemctl status '%s@*' %s" % (self.store.app, self.units.socket)

    def failure(self, release: str, what: str, answer: Optional[Answer] = None) -> Failure:
        """Explained with what systemd, the journal and the logs say."""
        from carboy.applier.systemd import explain

        return explain.failure(self.units, self.name(release), what, answer)

    def _start(self, release: str, verb: str) -> None:
        gate = self.store.record(release)["gate"]
        self.host.say("%s joins the public socket" % release)
        if self.host.call("systemctl", verb, self.name(release)).returncode:
            raise self.failure(release, "%s does not start" % self.name(release))
        answer = probe.ask(self.address(release), gate["health"], gate["start_timeout"])
        if not answer.healthy:
            raise self.failure(release, "%s is not healthy" % self.name(release), answer)
