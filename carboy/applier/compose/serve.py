"""A release begins to serve: beside the others at a unix socket, in their place at a published port."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Callable, List

from carboy.applier import probe
from carboy.applier.compose.docker import docker, inspect, up
from carboy.applier.compose.place import address
from carboy.applier.host import private
from carboy.applier.probe import Address, Answer
from carboy.applier.resource import Failure
from carboy.applier.runtime import State
from carboy.applier.store import Store

if TYPE_CHECKING:
    from carboy.applier.compose.runtime import Runtime

PAUSE_SECONDS = 0.02
ANSWER_SECONDS = 5.0
INSTEAD = 'new=$1; shift; docker stop "$@"; exec docker start "$new"'
TAKEN = ("port is already allocated", "address already in use")


def join(runtime: Runtime, release: str, state: State) -> None:
    """Start a release and wait until it is healthy; those that have its very port are ended before."""
    holders = [each for each in state.serving if each != release and _port(runtime, each) == _port(runtime, release)]
    if release not in state.serving or not runtime.as_released(release, state):
        if holders and _port(runtime, release):
            _instead(runtime, release, holders)
            return
        if release not in state.serving and _port(runtime, release):
            claim(runtime, _listen(runtime, release))
        start(runtime, release)
    _await(runtime, release)
    runtime.choose(release)


def start(runtime: Runtime, release: str) -> None:
    """Make the container of a release anew and start it."""
    compose(runtime, release, "up", "--detach", "--no-build", "--force-recreate")


def compose(runtime: Runtime, release: str, *arguments: str) -> None:
    """Call Compose for a release; raises `Failure` in plain words if it fails."""
    folder(runtime.store, release)
    place = ("--project-directory", str(runtime.store.path(release)))
    done = runtime.host.call("docker", "compose", *place, *arguments)
    if done.returncode:
        raise _refused(runtime, release, done.stderr)


def folder(store: Store, release: str) -> None:
    """The folder of a release's socket, which only the app and the group of its public socket may enter."""
    from carboy.applier.file import own

    path = store.home / "run" / release
    path.parent.mkdir(exist_ok=True)
    # Owned even if it is there: a run may have been killed before it came to that.
    # The group of the folder becomes that of the socket in it.
    own(private(path), "2750", store.app, store.record(release)["gate"]["socket_group"] or store.app)


def healthy(runtime: Runtime, release: str, name: str, where: Callable[[], Address]) -> Answer:
    """Ask a container of a release until it answers, has ended, or its time is over; the last answer."""
    gate = runtime.store.record(release)["gate"]
    until = time.monotonic() + gate["start_timeout"]
    while True:
        answer = probe.ask(where(), gate["health"], max(0.1, until - time.monotonic()))
        found = inspect(runtime.host, "container", name)
        if answer.status or not (found and up(found[0]["State"])) or time.monotonic() > until:
            return answer
        time.sleep(PAUSE_SECONDS)


def claim(runtime: Runtime, listen: str) -> None:
    """Raise `Failure` if somebody else has the public address."""
    host, port = probe.split(listen)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as problem:
            raise _taken(runtime, listen, os.strerror(problem.errno or 0)) from problem


def _instead(runtime: Runtime, release: str, holders: List[str]) -> None:
    """Stop those that have the port and start the release; nobody is served in between, and it is said for how long."""
    compose(runtime, release, "create", "--no-build", "--force-recreate")
    runtime.choose(release)
    runtime.host.say("%s ends, and %s takes its port" % (", ".join(holders), release))
    names = [runtime.name(each) for each in (release, *holders)]
    # In a process of its own: a run that is killed meanwhile leaves no app that is down.
    changing = runtime.host.begin("sh", "-c", INSTEAD, "instead", *names)
    last = _last_answer(runtime, release, changing)
    if changing.wait():
        docker(runtime.host, "start", names[0])
    _await(runtime, release)
    seconds = round(time.monotonic() - last, 3)
    why = "the port can belong to one container only"
    runtime.host.stream.emit("gap", seconds=seconds)
    runtime.host.stream.emit("warning", text="nobody was served for %.2f s: %s" % (seconds, why))


def _last_answer(runtime: Runtime, release: str, changing: subprocess.Popen[bytes]) -> float:
    """When the public address answered last; the engine takes connections there for as long as the old one ends."""
    gate, last = runtime.store.record(release)["gate"], time.monotonic()
    while changing.poll() is None:
        if not probe.ask(probe.address(gate["listen"]), gate["health"], ANSWER_SECONDS).status:
            break
        last = time.monotonic()
        time.sleep(PAUSE_SECONDS)
    return last


def _await(runtime: Runtime, release: str) -> None:
    answer = healthy(runtime, release, runtime.name(release), lambda: address(runtime.store, release))
    if not answer.healthy:
        raise runtime.failure(release, "%s is not healthy" % runtime.name(release), answer)


def _listen(runtime: Runtime, release: str) -> str:
    return str(runtime.store.record(release).get("gate", {}).get("listen", ""))


def _port(runtime: Runtime, release: str) -> str:
    """The public port of a release; empty if its address is a unix socket."""
    listen = _listen(runtime, release)
    return "" if listen.startswith("/") else listen.rpartition(":")[2]


def _refused(runtime: Runtime, release: str, said: str) -> Failure:
    """Why the engine did not start a container, in its words and in plain ones."""
    lines = [line for line in said.strip().splitlines() if "rror" in line] or said.strip().splitlines()
    if any(words in said for words in TAKEN):
        return _taken(runtime, _listen(runtime, release), "\n".join(lines[-3:]))
    what = "the engine does not start %s" % runtime.name(release)
    return Failure(what, details="\n".join(lines[-3:]), hint="look at: " + runtime.inquiry)


def _taken(runtime: Runtime, listen: str, said: str) -> Failure:
    holder = runtime.host.call("ss", "-Hlptn", "sport = :" + listen.rpartition(":")[2]).stdout.strip()
    hint = "end what listens there, or set app_listen to another port, and deploy again"
    return Failure("%s is taken" % listen, details="\n".join(filter(None, (said, holder))), hint=hint)
