"""The gate: the container of a new release, without its public address, must become healthy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from carboy.applier.compose import serve
from carboy.applier.compose.docker import docker
from carboy.applier.compose.place import inside
from carboy.applier.probe import Answer
from carboy.applier.resource import Failure

if TYPE_CHECKING:
    from carboy.applier.compose.runtime import Runtime


def judge(runtime: Runtime, release: str) -> None:
    """Start the release in a container of its own, ask for its health, remove it; raises `Failure` explained."""
    name, gate = runtime.name(release) + "-candidate", runtime.store.record(release)["gate"]
    runtime.host.say("starting %s without its public address" % release)
    runtime.discard_candidate(release)
    # Where it is asked from outside the container, by whoever may: it has no public name yet.
    environment = {**gate["candidate"], "CARBOY_BIND": "0.0.0.0:%d" % gate["port"]}
    flags = ["--env=%s=%s" % pair for pair in sorted(environment.items())]
    try:
        serve.compose(runtime, release, "run", "--detach", "--no-deps", "--name", name, *flags, "app")
        answer = serve.healthy(runtime, release, name, lambda: inside(runtime.store, name))
        if not answer.healthy:
            raise _refused(runtime, release, name, answer)
        _check(runtime, release, name)
    finally:
        runtime.discard_candidate(release)


def _check(runtime: Runtime, release: str, name: str) -> None:
    """Let the image's own health check speak: it is what the engine and every orchestrator will go by."""
    check = docker(runtime.host, "inspect", "--format", "{{range .Config.Healthcheck.Test}}{{println .}}{{end}}", name)
    done = runtime.host.call("docker", "exec", name, *check.splitlines()[1:])
    if done.returncode:
        raise _refused(runtime, release, name, None)


def _refused(runtime: Runtime, release: str, name: str, answer: Optional[Answer]) -> Failure:
    from carboy.applier.compose import explain

    return explain.failure(runtime, release, "the new release is not healthy", name=name, answer=answer)
