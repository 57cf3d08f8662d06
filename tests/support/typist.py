"""`invoke` as it is typed, in a fork of a process that has its modules already: these are most of what it costs.

Arguments, environment, folder, output and exit code are those of a process of its own. A real one is what other tests
type: those that interrupt a command, those of the README, and tests/test_cli.py.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import pkgutil
import runpy
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock

ROOT = Path(__file__).parents[2]
INVOKE = str(Path(sys.executable).with_name("invoke"))
"""What is typed to run it as a process of its own."""
LIMIT = 1 << 20
OTHERS = ("jinja2", "packaging.requirements", "paramiko", "pytest", "rich.console", "rich.text", "testinfra", "yaml")
# What hosts import, and what no deploy does.
LEFT_OUT = ("carboy.applier", "carboy.sandbox", "carboy.verify.on_host")


class Typist:
    """Types one command after the other."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", __name__, str(theirs.fileno())]
            process = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        atexit.register(process.wait)
        atexit.register(self._connection.close)

    def type(self, arguments: Sequence[str], environment: dict[str, str]) -> tuple[int, str, str]:
        """Run `invoke ARGUMENTS` at the top of the checkout; returns its exit code, stdout and stderr."""
        order = json.dumps([list(arguments), environment]).encode()
        with self._lock, TemporaryFile() as output, TemporaryFile() as errors:
            socket.send_fds(self._connection, [order], [output.fileno(), errors.fileno()])
            answer = self._connection.recv(LIMIT)
            assert answer, "the process that types is gone"
            return int(answer), _text(output.fileno()), _text(errors.fileno())


@functools.cache
def typist() -> Typist:
    """The one of this process."""
    return Typist()


def serve(connection: socket.socket) -> None:
    """Have a child carry out each order, until nobody gives any more."""
    for name in (*OTHERS, *_own_modules()):
        # What cannot be imported is for the command that needs it to say.
        with suppress(Exception):
            importlib.import_module(name)
    gc.freeze()
    while True:
        order, output, *_ = socket.recv_fds(connection, LIMIT, 2)
        if not order:
            return None
        child = os.fork()
        if not child:
            connection.close()
            arguments, environment = json.loads(order)
            return _invoke(arguments, environment, output)
        for each in output:
            os.close(each)
        _, status = os.waitpid(child, 0)
        connection.send(str(os.waitstatus_to_exitcode(status)).encode())


def _own_modules() -> Iterator[str]:
    for found in pkgutil.walk_packages([str(ROOT / "carboy")], "carboy."):
        if not found.name.startswith(LEFT_OUT) and not found.name.endswith("__main__"):
            yield found.name
    yield from (found.name for found in pkgutil.iter_modules([str(ROOT / "roles")], "roles."))


def _invoke(arguments: list[str], environment: dict[str, str], output: list[int]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    for number, descriptor in enumerate(output, start=1):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.argv[1:] = arguments
    runpy.run_module("invoke", run_name="__main__", alter_sys=True)


def _text(descriptor: int) -> str:
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(0)
        return file.read().decode()


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
