"""The frame around every verb that runs on a host: the stream, the outcome, and going on alone."""

from __future__ import annotations

import fcntl
import os
import signal
import traceback
from typing import Any, Callable, Dict, Optional

from carboy.applier.host import STATE, Host, private
from carboy.applier.resource import Failure
from carboy.applier.space import room, with_room
from carboy.applier.stream import Disconnected, standard

Arguments = Dict[str, Any]
KEPT_RUNS = 100


def session(args: Arguments, verb: Callable[[Host, Arguments], Optional[int]], root: str = "/") -> None:
    """Run a verb over this process's stdin and stdout; the last event is `end` with the exit code, 0 unless it says.

    `root` is where the paths of the host begin, for verbs that want nothing of root's.
    """
    # The mode of each thing is declared; what the ssh user's shell masks must not take from it.
    os.umask(0o022)
    stream = standard()
    stream.open()
    host = Host(stream, root, args)
    code = 1
    try:
        code = verb(host, args) or 0
    except Disconnected:
        stream.emit("failed", what="the controller fell silent", details="", hint="nothing was changed: deploy again")
    except Failure as failure:
        code = failure.exit_code
        stream.emit("failed", what=failure.what, details=with_room(host, failure.details), hint=failure.hint)
    except OSError as problem:
        details = "\n".join(room(host, str(problem)))
        stream.emit("failed", what=str(problem), details=details, hint="look at the host's disk and rights")
    except Exception:
        stream.emit("failed", what="a fault in Carboy itself", details=traceback.format_exc(), hint="please report it")
    _end(host, code)


def _end(host: Host, code: int) -> None:
    """Say how it ended; whoever reads that may begin the next run at once, and the process takes a moment to go."""
    last = host.stream.keep("end", exit=code)
    if host.lock is not None:
        fcntl.flock(host.lock, fcntl.LOCK_UN)
    host.stream.send(last)


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
    _record(host)
    host.stream.emit("begin", app=host.args["app"], verb=host.args["verb"], **host.holder)


def _record(host: Host) -> None:
    """Keep the events from here on in a file; it is locked as long as the run lives, and only so long."""
    runs = private(host.at(STATE) / "runs")
    # By the host's own clock: names are of the clocks of whoever deploys.
    for old in sorted(runs.iterdir(), key=lambda path: path.lstat().st_mtime)[:-KEPT_RUNS]:
        # Another app's run may have been faster.
        old.unlink(missing_ok=True)
    record = open(runs / ("%s-%s.ndjson" % (host.run_id, host.args["app"])), "w")  # noqa: SIM115 - open until the process ends
    fcntl.flock(record, fcntl.LOCK_EX)
    host.stream.record = record
