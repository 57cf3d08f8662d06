"""The frame around every verb that runs on a host: the stream, the outcome, and going on alone."""

from __future__ import annotations

import os
import signal
import traceback
from typing import Any, Callable, Dict

from carboy.applier.host import STATE, Host, private
from carboy.applier.resource import Failure
from carboy.applier.stream import Disconnected, standard

Arguments = Dict[str, Any]
KEPT_RUNS = 100
NO_SPACE = "No space left on device"


def session(args: Arguments, verb: Callable[[Host, Arguments], None]) -> None:
    """Run a verb over this process's stdin and stdout; the last event is `end` with the exit code."""
    # The mode of each thing is declared; what the ssh user's shell masks must not take from it.
    os.umask(0o022)
    stream = standard()
    stream.open()
    host = Host(stream, run=args["run"], holder=args["holder"])
    code = 1
    try:
        verb(host, args)
        code = 0
    except Disconnected:
        pass
    except Failure as failure:
        code = failure.exit_code
        details = (failure.details + "\n" + _space(host, failure.details)).strip()
        stream.emit("failed", what=failure.what, details=details, hint=failure.hint)
    except OSError as problem:
        details = _space(host, str(problem))
        stream.emit("failed", what=str(problem), details=details, hint="look at the host's disk and rights")
    except Exception:
        stream.emit("failed", what="a fault in Carboy itself", details=traceback.format_exc(), hint="please report it")
    stream.emit("end", exit=code)


def detach(host: Host) -> None:
    """From here on finish alone: a lost connection or a killed ssh session no longer ends the run.

    The child does the work in a session of its own and keeps the events in the run file; the parent only waits for it.
    """
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        os._exit(0)
    os.setsid()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    runs = private(host.at(STATE) / "runs")
    for old in sorted(runs.iterdir())[:-KEPT_RUNS]:
        old.unlink()
    host.stream.record = open(runs / (host.run_id + ".ndjson"), "w")  # noqa: SIM115 - open until the process ends


def _space(host: Host, said: str) -> str:
    if NO_SPACE not in said:
        return ""
    places = {path: os.statvfs(host.at(path)) for path in ("/", "/srv", "/var/lib") if host.at(path).exists()}
    return "\n".join(
        "%s: %.0f MB and %d inodes free" % (path, found.f_bavail * found.f_frsize / 1e6, found.f_favail)
        for path, found in places.items()
    )
