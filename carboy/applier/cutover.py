"""The resource that says which release serves."""

from __future__ import annotations

from dataclasses import dataclass

from carboy.applier import runtime
from carboy.applier.host import Host
from carboy.applier.policy import Policy
from carboy.applier.resource import Drift, Failure, Properties, Resource
from carboy.applier.store import Store


@dataclass(frozen=True)
class Cutover(Resource):
    """The app's newest release of this digest is the one that serves, now and after a reboot, under its own units."""

    app: str
    digest: str
    policy: Policy = Policy()

    def title(self) -> str:
        """The name people read."""
        return "cutover %s" % self.app

    def foresee(self, host: Host) -> None:
        """Begin to ask what runs the app."""
        runtime.of(Store(host, self.app)).foresee()

    def current(self, host: Host) -> Properties:
        """Which releases serve and which one is chosen, and whether the units are as released."""
        store = Store(host, self.app)
        running = runtime.of(store)
        state = running.read()
        return {
            "serving": state.serving,
            "chosen": state.chosen,
            "socket": state.socket,
            "units": "as released" if state.chosen and running.as_released(state.chosen, state) else "changed",
            "candidates": state.candidates,
            "current": store.current(),
        }

    def desired(self, host: Host) -> Properties:
        """The release alone, everywhere."""
        name = Store(host, self.app).find(self.digest) or "a new release %s" % self.digest[:8]
        return {
            "serving": [name],
            "chosen": name,
            "socket": "active",
            "units": "as released",
            "candidates": [],
            "current": name,
        }

    def repair(self, host: Host, drift: Drift) -> None:
        """Switch to the release; on any failure what served before serves on."""
        # Here, because on an unchanged host it would be compiled for nothing.
        from carboy.applier.switch import DEPLOY, Switch

        store = Store(host, self.app)
        name = store.find(self.digest)
        if not name:
            raise Failure("the release to switch to is not there", hint="deploy again")
        Switch(store, name, self.policy).run(DEPLOY)
