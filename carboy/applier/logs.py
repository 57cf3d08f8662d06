"""The verb `logs`: the app's log files, as they are written."""

from __future__ import annotations

import os
import select
import subprocess
from typing import Callable

from carboy.applier.host import Host
from carboy.applier.resource import Failure
from carboy.applier.session import Arguments, session


def main(args: Arguments) -> None:
    """Entry point of the payload."""
    session(args, logs)


def logs(host: Host, args: Arguments) -> None:
    """Send the last lines of a log file, and with `follow` each new one, until the controller goes away."""
    path = host.at(args["file"])
    if not path.exists():
        raise Failure("no log file %s" % args["file"], hint="was the app ever deployed here? see invoke status")
    follow = ["--follow=name", "--retry", "--pid=%d" % os.getpid()] if args["follow"] else []
    command = ["tail", "-n", str(args["lines"]), *follow, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as tail:
        try:
            pass_on(host, tail)
        finally:
            tail.kill()


def pass_on(host: Host, reading: "subprocess.Popen[bytes]", wanted: Callable[[str], bool] = lambda _: True) -> None:
    """Send the wanted lines that a program prints, until it ends or the controller goes away."""
    assert reading.stdout
    buffer = b""
    while True:
        ready = select.select([reading.stdout, host.stream.reader], [], [])[0]
        data = os.read(reading.stdout.fileno(), 65536) if reading.stdout in ready else b""
        if not data and (reading.stdout in ready or not host.stream.reader.read1(1)):  # type: ignore[attr-defined]
            return
        *lines, buffer = (buffer + data).split(b"\n")
        for line in filter(wanted, (each.decode("utf-8", "replace") for each in lines)):
            host.stream.emit("log", line=line)
