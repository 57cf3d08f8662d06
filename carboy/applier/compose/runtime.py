"""Docker runs the app: a container per release, each with an image of its own, made as its Compose file says."""

from __future__ import annotations

import os
import subprocess
from typing import Any, Dict, List, Optional, Tuple

from carboy.applier import runtime
from carboy.applier.compose.docker import containers, inspect, moment, project, up
from carboy.applier.compose.place import address
from carboy.applier.host import link, remove
from carboy.applier.probe import Address, Answer
from carboy.applier.resource import Failure
from carboy.applier.runtime import State
from carboy.applier.store import Store

RELEASE = "carboy.release"
ONE_OFF = "com.docker.compose.oneoff"
Container = Dict[str, Any]


class Runtime(runtime.Runtime):
    """The app's containers; `/srv/<app>/serving` leads to the folder of the release that is chosen.

    Where the public address is a unix socket, that link alone decides who answers there.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.stopping: Optional[subprocess.Popen[bytes]] = None
        self.stopped: List[str] = []

    def read(self) -> State:
        """Ask the engine for all containers of the app."""
        # The engine does not tell: a container that it was told to stop runs to its end. Asked first, for it may end.
        ending = self.stopped if self.stopping and self.stopping.poll() is None else []
        found = containers(self.host, self.store.app)
        running = [each for each in found if each["State"]["Running"] or each["State"]["Restarting"]]
        alive = sorted(_release(each) for each in running if not _one_off(each))
        serving = [each for each in alive if each not in ending]
        link = self.store.home / "serving"
        chosen = os.path.basename(os.readlink(link)) if link.is_symlink() else None
        return State(
            serving=serving,
            draining=[each for each in alive if each in ending],
            candidates=sorted(_release(each) for each in running if each["Name"].endswith("-candidate")),
            chosen=chosen,
            socket="active" if chosen in serving else "inactive",
            shown={_release(each): each for each in found if not _one_off(each)},
        )

    def as_released(self, release: str, state: State) -> bool:
        """Whether its container has the image of the release, and is no older than its Compose file."""
        container, file = state.shown.get(release), self.store.path(release) / "compose.yaml"
        if not container or not file.exists():
            return False
        same = container["Image"] == self.store.record(release).get("image")
        return bool(same) and moment(container["Created"]) >= file.stat().st_mtime

    def about(self, release: str, state: State) -> Dict[str, Any]:
        """What the engine says of the release's container."""
        container: Any = state.shown[release]
        since = int(moment(container["State"]["StartedAt"]))
        return {"pid": container["State"]["Pid"], "restarts": container["RestartCount"], "since": since}

    def address(self, release: str) -> Address:
        """The release's own socket, or its container's address in the network that it has alone."""
        return address(self.store, release)

    def vital(self, release: str) -> str:
        """When the container was started last."""
        found = inspect(self.host, "container", self.name(release))
        return found[0]["State"]["StartedAt"] if found and up(found[0]["State"]) else ""

    def judge(self, release: str) -> None:
        """Run the release without its public address."""
        from carboy.applier.compose import candidate

        candidate.judge(self, release)

    def discard_candidate(self, release: str) -> None:
        """Remove the container of a gate."""
        self.host.call("docker", "rm", "--force", self.name(release) + "-candidate")

    def join(self, release: str, state: State) -> None:
        """Have the release serve: beside the others at a unix socket, in their place at a port."""
        from carboy.applier.compose import serve

        serve.join(self, release, state)

    def prove(self, release: str) -> None:
        """Raise `Failure` unless the container runs the very image that was built."""
        if not self.as_released(release, self.read()):
            hint = "does something else manage its containers? deploy again"
            raise Failure("%s does not run as it was built" % self.name(release), hint=hint)

    def succeed(self, release: str, state: State) -> "subprocess.Popen[bytes]":
        """Choose the release, and begin to stop the others; a container that was stopped stays so after a reboot."""
        self.choose(release)
        self.stopped = [each for each in state.serving if each != release]
        # Whom a client reached just before the choice, it still shall answer.
        stop = ("sh", "-c", 'sleep 0.3; exec docker stop "$@"', "stop", *map(self.name, self.stopped))
        self.stopping = self.host.begin(*stop) if self.stopped else self.done
        return self.stopping

    def revive(self, release: str, sick: str) -> None:
        """Start the container of a release that was stopped, or still ends, in the place of a sick one."""
        from carboy.applier.compose import serve

        if self.stopping:
            self.stopping.wait()
        if self.pauses(sick):
            # Its port is wanted. At a unix socket it had better answer until `join` finds the other one healthy.
            self.discard(sick)
        if self.host.call("docker", "start", self.name(release)).returncode:
            serve.start(self, release)

    def discard(self, release: str) -> None:
        """Remove the release's container, and its network."""
        self.host.call("docker", "rm", "--force", self.name(release))
        self.host.call("docker", "network", "rm", self.name(release))

    def take_down(self, release: str, before: State) -> None:
        """Remove it, and choose what was chosen."""
        self.discard(release)
        if before.chosen and before.chosen != release:
            self.choose(before.chosen)
        else:
            remove(self.store.home / "serving")

    def execute(self, release: str, moment: str) -> Tuple[str, str]:
        """Run a hook in a container of its own, as the release runs."""
        from carboy.applier.compose import hooks

        return hooks.execute(self, release, moment)

    def await_hooks(self) -> None:
        """Wait for the container of a hook that a killed run left behind."""
        from carboy.applier.compose import hooks

        hooks.await_left(self)

    def sweep(self, release: str) -> None:
        """Remove the containers of other releases, and images that no release names."""
        from carboy.applier.compose import sweep

        sweep.sweep(self, release)

    def pauses(self, release: str) -> bool:
        """Whether the public address is a port, which two containers cannot share."""
        return not self.store.record(release)["gate"]["listen"].startswith("/")

    def name(self, release: str) -> str:
        """The container of a release."""
        return project(self.store.app, release)

    @property
    def inquiry(self) -> str:
        """What the engine shows of the app."""
        return "docker ps --all --filter label=carboy.app=%s" % self.store.app

    def failure(self, release: str, what: str, answer: Optional[Answer] = None) -> Failure:
        """Explained with what the engine, the container and the app say."""
        from carboy.applier.compose import explain

        return explain.failure(self, release, what, answer=answer)

    def choose(self, release: str) -> None:
        """Make it the release that the public address leads to."""
        if not (self.store.home / "run" / release).is_dir():
            return
        link(self.store.home / "serving", "run/" + release)

    @property
    def done(self) -> "subprocess.Popen[bytes]":
        """A process that ends at once, where there is nothing to wait for."""
        return self.host.begin("true")


def _release(container: Container) -> str:
    return str(container["Config"]["Labels"][RELEASE])


def _one_off(container: Container) -> bool:
    return bool(container["Config"]["Labels"].get(ONE_OFF) == "True")
