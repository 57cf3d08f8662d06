"""A hook in a container of its own: the image, the user, the environment and the limits of the release."""

from __future__ import annotations

from typing import TYPE_CHECKING, Tuple

from carboy.applier.compose import serve
from carboy.applier.compose.docker import inspect
from carboy.applier.hooks import SHOWN_LINES

if TYPE_CHECKING:
    from carboy.applier.compose.runtime import Runtime


def execute(runtime: Runtime, release: str, moment: str) -> Tuple[str, str]:
    """Run a hook to its end; why it failed, if it did, and its last lines."""
    host, folder, name = runtime.host, runtime.store.path(release), container(runtime)
    home, limit = "/srv/%s/release" % runtime.store.app, runtime.store.record(release)["gate"]["hook_timeout"]
    await_left(runtime)
    host.say("running %s of %s" % (moment, release))
    path = "PATH=%s/venv/bin:/usr/local/bin:/usr/bin:/bin" % home
    flags = ("--env=" + path, "--volume=%s/hooks:%s/hooks:ro" % (folder, home))
    command = ("app", "sh", "-e", "%s/hooks/%s" % (home, moment))
    serve.compose(runtime, release, "run", "--detach", "--no-deps", "--name", name, *flags, *command)
    ended = host.call("timeout", "%g" % limit, "docker", "wait", name)
    done = host.call("docker", "logs", "--tail", str(SHOWN_LINES), name)
    host.call("docker", "rm", "--force", name)
    said = (done.stdout + done.stderr).strip()
    if ended.returncode:
        return "timeout", said
    code = ended.stdout.strip()
    return ("" if code == "0" else "exit status %s" % code), said


def container(runtime: Runtime) -> str:
    """The container of a hook; there is one at most."""
    return "%s-hook" % runtime.store.app


def await_left(runtime: Runtime) -> None:
    """Wait for the hook of a run that was killed: two migrations at once would be worse than a late one."""
    name = container(runtime)
    if inspect(runtime.host, "container", name):
        runtime.host.say("waiting for a hook that an earlier run left behind")
        runtime.host.call("docker", "wait", name)
        runtime.host.call("docker", "rm", "--force", name)
