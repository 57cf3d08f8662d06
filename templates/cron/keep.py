"""Starts the app of a release and keeps its public socket. Part of the release, written by Carboy.

keep.py serve [again]   start it for the public; the socket comes from whoever keeps it, else it is opened
keep.py candidate       start it on a private socket alone
keep.py hook MOMENT     run a command of the release as the app itself runs

Returns when the app has begun to run. `again`: it serves already, but nobody keeps its socket any more.
Standard library and Python 3.9; run as root with -I -S.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from instance import PATH, Instance, Refused  # noqa: E402 - found beside this file
from sockets import hand_out, listen_at, public_socket  # noqa: E402

FURTHEST = 256


def serve(one: Instance, again: str = "") -> Callable[[], NoReturn]:
    """Start the app for the public; then keep its socket for whoever comes next, also when the app has died."""
    public = public_socket(one.settings, one.folder, shared=bool(again))
    private, keeping = listen_at(one.file("sock")), listen_at(one.file("keep"))
    main = one.launch(one.command, [public, private])
    # Kept by the app alone: its end is to be seen at once by who asks there.
    private.close()

    def keep() -> NoReturn:
        signal.signal(signal.SIGCHLD, lambda *_: reap(one, main))
        reap(one, main)
        while True:
            hand_out(keeping, public, one.settings["listen"])

    return keep


def candidate(one: Instance) -> Callable[[], NoReturn]:
    """Start the app where nobody but root can ask it."""
    with listen_at(one.file("sock")) as private:
        main = one.launch(one.command, [private], one.settings["candidate"])
    return lambda: outlive(one, main)


def hook(one: Instance, moment: str) -> Callable[[], NoReturn]:
    """Run a command of the release."""
    script = ["/bin/sh", "-e", str(one.release / "hooks" / moment)]
    main = one.launch(script, [], {"PATH": f"{one.release}/venv/bin:{PATH}"})
    return lambda: outlive(one, main)


KINDS: dict[str, Callable[..., Callable[[], NoReturn]]] = {"serve": serve, "candidate": candidate, "hook": hook}


def outlive(one: Instance, main: int) -> NoReturn:
    """Wait for the end of the main process, and write down how it came."""
    one.ended(*os.waitpid(main, 0))
    os._exit(0)


def reap(one: Instance, main: int) -> None:
    """Write down how the main process ended, and have the watchdog look at once; it may also be a check that ended."""
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return
    if pid != main:
        return
    one.ended(pid, status)
    if not one.wanted:
        os._exit(0)
    nothing = subprocess.DEVNULL
    subprocess.Popen([one.control, "cron-check"], stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)


def apart(begin: Callable[[], Callable[[], NoReturn]]) -> int:
    """Do it in a process of its own, which goes on; returns when it has begun, and says why if it has not."""
    told, tell = os.pipe()
    if not os.fork():
        begin_alone(begin, tell)
    os.close(tell)
    with os.fdopen(told) as words:
        wrong = words.read()
    print(wrong, file=sys.stderr, end="")
    return bool(wrong)


def begin_alone(begin: Callable[[], Callable[[], NoReturn]], tell: int) -> NoReturn:
    """In the child: begin, tell what stands in the way or close that line, and go on."""
    os.setsid()
    os.chdir("/")
    try:
        go_on = begin()
    except Exception as problem:
        words = problem if isinstance(problem, (Refused, OSError)) else repr(problem)
        os.write(tell, f"{words}\n".encode())
        os._exit(1)
    quiet()
    os.close(tell)
    go_on()


def quiet() -> None:
    """Let go of what the caller reads."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nothing, descriptor)


def main(kind: str, *more: str) -> int:
    """Begin one kind of run; returns the exit code."""
    # Whatever the caller has open, a lock above all, is none of the app's.
    os.closerange(3, FURTHEST)
    os.umask(0o022)
    one, begin = Instance(HERE.parent, kind), KINDS[kind]
    return apart(lambda: begin(one, *more))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
