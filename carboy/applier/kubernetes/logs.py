"""The verb `logs` on Kubernetes: what all pods of the app write, as they write it."""

from __future__ import annotations

import re
import subprocess

from carboy.applier.host import Host
from carboy.applier.kubernetes.apply import app_of, state
from carboy.applier.logs import pass_on
from carboy.applier.session import Arguments, session

MOST_PODS = 100
# So far back are lines of one kind looked for among those of the other.
FAR_BACK = 5000
# Both logs go to one place there: a line of the access log is a JSON object.
ACCESS = re.compile(r"^(\[[^]]*\] )?\{")


def main(args: Arguments) -> None:
    """Entry point of the payload."""
    session(args, logs, root=state())


def logs(host: Host, args: Arguments) -> None:
    """Send the last lines of all pods, and with `follow` each new one, until the controller goes away."""
    app, access = app_of(host), args["file"].endswith("/access.log")
    options = ("-l", app.selector, "--prefix", "--max-log-requests=%d" % MOST_PODS)
    earlier = app.kubectl.run("logs", *options, "--tail=%d" % FAR_BACK).splitlines()
    shown = [line for line in earlier if bool(ACCESS.match(line)) == access]
    for line in shown[max(len(shown) - args["lines"], 0) :]:
        host.stream.emit("log", line=line)
    if not args["follow"]:
        return
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with app.kubectl.begin("logs", *options, "--tail=0", "--follow", **pipe) as reading:
        try:
            pass_on(host, reading, lambda line: bool(ACCESS.match(line)) == access)
        finally:
            reading.kill()
