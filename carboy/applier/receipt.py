"""The receipt of a cutover: clients in a process of their own ask the public address all the while, and count."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import signal
import socket
import threading
import time
from typing import Any, Dict, List, Tuple

from carboy.applier import probe

BEFORE, DURING, AFTER, OVER = STAGES = ("before", "during", "after", "over")
PHASES = STAGES[:3]
REQUEST = "GET %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: carboy-receipt\r\nConnection: close\r\n\r\n"
REQUEST_SECONDS = 10.0
# So long may the last requests take, and the prober to add up.
STOP_SECONDS = REQUEST_SECONDS + 5
PAUSE = 0.05
# A receipt is to see the cutover, not to be a load: a client asks 50 times a second at most.
BREATH = 0.02
TOLD = 5
MESSAGE = 65536
TEXT = 200
ENDED = "the prober ended by itself"
Receipt = Dict[str, Any]


class Prober:
    """Asks an app's public address from `start` to `stop`, in a process that ends with this one, however it ends."""

    def __init__(self, where: probe.Address, path: str, clients: int) -> None:
        self.where = where
        self.path = path
        self.clients = clients
        # Shared with the child, so that its next request already knows.
        self._stage = mmap.mmap(-1, 1)
        self._told: List[str] = []
        self._receipt: Receipt = {}

    def start(self, seconds: float) -> None:
        """Begin to ask, and return after `seconds` of it; at once where nothing listens yet."""
        listens = _listens(self.where)
        # Messages keep their bounds, and either side sees the end of the other one.
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._child = os.fork()
        if not self._child:
            _live(Clients(self.where, self.path, self._stage), self.clients, theirs)
        theirs.close()
        if listens:
            time.sleep(seconds)

    def phase(self, name: str) -> None:
        """Requests that begin from now on count for this phase: `during` the cutover, or `after` it."""
        self._stage[0] = STAGES.index(name)

    def failures(self) -> List[str]:
        """The first few failures since the phase `before` was over; does not wait."""
        with contextlib.suppress(OSError):
            self._line.settimeout(0)
            while not self._receipt:
                self._hear()
        return list(self._told)

    def stop(self) -> Receipt:
        """End it and return the receipt, with times in ms; requests under way may end, within their time limit.

        Asked again, it returns the same.
        """
        if self._line.fileno() != -1:
            self._end()
        return self._receipt

    def _end(self) -> None:
        self.phase(OVER)
        self._line.settimeout(STOP_SECONDS)
        try:
            while not self._receipt:
                self._hear()
        except OSError:
            self._give_up()
        self._line.close()
        os.kill(self._child, signal.SIGKILL)
        os.waitpid(self._child, 0)

    def _hear(self) -> None:
        """Take in one message: the text of a failure, or at last the receipt."""
        message = self._line.recv(MESSAGE)
        told = json.loads(message) if message else None
        if isinstance(told, str):
            self._told.append(told)
        elif told:
            self._receipt = told
        else:
            self._give_up()

    def _give_up(self) -> None:
        """The prober is gone: what it knew is lost, and cannot count as well."""
        self._told.append(ENDED)
        self._receipt = Clients(self.where, self.path, self._stage).receipt(self.clients)
        self._receipt.update(failed=1, failures=list(self._told))


class Clients:
    """Those who ask, each on a new connection every time, and what they saw."""

    def __init__(self, where: probe.Address, path: str, stage: mmap.mmap) -> None:
        self.where = where
        self.path = path
        self._stage = stage
        self.seen: List[Tuple[str, float, str]] = []
        self.failed: List[str] = []

    @property
    def phase(self) -> str:
        """The phase that the applier says it is."""
        return STAGES[self._stage[0]]

    def work(self, line: socket.socket, clients: int) -> None:
        """Wait for somebody to listen, ask until the last phase is over, and tell what was seen."""
        while self.phase != OVER and not _listens(self.where):
            time.sleep(PAUSE)
        threads = [threading.Thread(target=self._ask, args=(line,), daemon=True) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        line.send(json.dumps(self.receipt(clients)).encode())

    def receipt(self, clients: int) -> Receipt:
        """What all clients saw, added up."""
        return {
            "path": self.path,
            "clients": clients,
            "requests": len(self.seen),
            "failed": len(self.failed),
            "failures": self.failed[:TOLD],
            "phases": {name: self._figures(name) for name in PHASES},
        }

    def _ask(self, line: socket.socket) -> None:
        while self.phase != OVER:
            phase, began = self.phase, time.monotonic()
            wrong = ask(self.where, self.path)
            self.seen.append((phase, time.monotonic() - began, wrong))
            if wrong:
                self._fail(line, "%s: %s" % (phase, wrong[:TEXT]))
            time.sleep(PAUSE if wrong else BREATH)

    def _fail(self, line: socket.socket, what: str) -> None:
        # What failed before the cutover is not its doing.
        if self.phase != BEFORE:
            self.failed.append(what)
            if len(self.failed) <= TOLD:
                line.send(json.dumps(what).encode())

    def _figures(self, phase: str) -> Receipt:
        seen = [(seconds, wrong) for name, seconds, wrong in self.seen if name == phase]
        good = sorted(seconds for seconds, wrong in seen if not wrong)
        p50, p99 = percentile(good, 50), percentile(good, 99)
        return {"requests": len(seen), "failed": len(seen) - len(good), "p50": p50, "p99": p99}


def percentile(ordered: List[float], percent: int) -> Any:
    """The least of the ordered seconds that so many percent do not exceed, in ms; None where there are none."""
    return round(ordered[-(-len(ordered) * percent // 100) - 1] * 1000, 1) if ordered else None


def ask(where: probe.Address, path: str) -> str:
    """What was wrong with one request; empty if nothing was."""
    try:
        return _wrong(_answer(where, (REQUEST % path).encode()))
    except socket.timeout:
        return "no answer within %.0f s" % REQUEST_SECONDS
    except (OSError, ValueError) as problem:
        return str(problem)


def _answer(where: probe.Address, request: bytes) -> bytes:
    until = time.monotonic() + REQUEST_SECONDS
    with socket.socket(_family(where)) as connection:
        connection.settimeout(REQUEST_SECONDS)
        connection.connect(where)
        connection.sendall(request)
        parts = [connection.recv(MESSAGE)]
        while parts[-1]:
            connection.settimeout(max(until - time.monotonic(), 0.001))
            parts.append(connection.recv(MESSAGE))
        return b"".join(parts)


def _wrong(answer: bytes) -> str:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    status = first.split(" ")[1:2]
    if not status:
        return "closed without an answer"
    if status[0] >= "500":
        return "answered %s" % first.partition(" ")[2]
    fields = dict(line.lower().partition(":")[::2] for line in lines)
    chunked = "chunked" in fields.get("transfer-encoding", "")
    whole = body.endswith(b"0\r\n\r\n") if chunked else len(body) >= int(fields.get("content-length", 0))
    return "" if whole else "the answer broke off after %d bytes of its body" % len(body)


def _family(where: probe.Address) -> int:
    if isinstance(where, str):
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in where[0] else socket.AF_INET


def _listens(where: probe.Address) -> bool:
    with socket.socket(_family(where)) as connection:
        connection.settimeout(REQUEST_SECONDS)
        return not connection.connect_ex(where)


def _live(clients: Clients, count: int, line: socket.socket) -> None:
    """The whole life of the child: it never comes back into the applier's own code, and ends with the applier."""
    try:
        _let_go(line.fileno())
        threading.Thread(target=clients.work, args=(line, count), daemon=True).start()
        # Nothing is ever said there: this waits until the other end is gone.
        line.recv(1)
    finally:
        os._exit(0)


def _let_go(line: int) -> None:
    """Hold nothing of the applier's open: not the lock, not the channel to the controller, not its end of the line."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        if descriptor <= 2:
            os.dup2(nothing, descriptor)
        elif descriptor != line:
            # One of them was that of the listing itself.
            with contextlib.suppress(OSError):
                os.close(descriptor)
