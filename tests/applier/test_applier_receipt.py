"""The receipt: each request counts in its phase, each kind of failure is one, and the prober never stays behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from carboy.applier import receipt
from carboy.applier.probe import Address
from carboy.applier.receipt import AFTER, DURING, ENDED, Prober, percentile

ROOT = Path(__file__).parents[2]
PATIENCE = 20.0
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SICK = b"HTTP/1.1 500 INTERNAL SERVER ERROR\r\nContent-Length: 0\r\n\r\n"
RESET = struct.pack("ii", 1, 0)


class Server:
    """Answers every connection with the same bytes, which can be changed at any time, and counts them."""

    def __init__(self, where: Address) -> None:
        self.answer = GOOD
        self.act: Callable[[socket.socket], object] = lambda connection: connection.sendall(self.answer)
        self.count = 0
        self.more = threading.Condition()
        self.listener = socket.socket(socket.AF_UNIX if isinstance(where, str) else socket.AF_INET)
        self.listener.bind(where)
        self.listener.listen(100)
        self.where: Address = self.listener.getsockname()
        threading.Thread(target=self._serve, daemon=True).start()

    def asked(self, times: int) -> None:
        """Wait until so many further requests were answered."""
        with self.more:
            wanted = self.count + times
            assert self.more.wait_for(lambda: self.count >= wanted, PATIENCE), "nobody asked"

    def close(self) -> None:
        """Listen no more."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        # One that only looked whether somebody listens sends nothing; one that gave up hears nothing.
        with connection, contextlib.suppress(OSError):
            if connection.recv(65536):
                self.act(connection)
                with self.more:
                    self.count += 1
                    self.more.notify_all()


@pytest.fixture(params=["tcp", "unix"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A server on either kind of socket."""
    server = Server(("127.0.0.1", 0) if request.param == "tcp" else str(tmp_path / "socket"))
    yield server
    if server.listener.fileno() != -1:
        server.close()


@contextmanager
def probing(where: Address, clients: int = 2, seconds: float = 0.05) -> Iterator[Prober]:
    """A prober that is under way; what the block leaves running is ended."""
    prober = Prober(where, "/test", clients)
    prober.start(seconds)
    try:
        yield prober
    finally:
        prober.stop()


def awaited(question: Callable[[], list[str]]) -> list[str]:
    """The answer to a question as soon as there is one."""
    until = time.monotonic() + PATIENCE
    while not (answer := question()):
        assert time.monotonic() < until, "no answer"
        time.sleep(0.01)
    return answer


def test_every_request_counts_in_its_phase(server: Server) -> None:
    """All three phases are measured, and no request is lost or invented."""
    with probing(server.where, clients=4) as prober:
        for phase in (DURING, AFTER):
            server.asked(8)
            prober.phase(phase)
        server.asked(8)
        found = prober.stop()
    assert found["requests"] == server.count == sum(phase["requests"] for phase in found["phases"].values())
    assert all(phase["requests"] and 0 < phase["p50"] <= phase["p99"] for phase in found["phases"].values())
    assert (found["failed"], found["failures"], found["path"], found["clients"]) == (0, [], "/test", 4)
    assert prober.stop() == found and prober.failures() == []


ANSWERS = {
    "answered 500 INTERNAL SERVER ERROR": SICK,
    "answered 503": b"HTTP/1.1 503\r\n\r\n",
    "closed without an answer": b"",
    "the answer broke off after 1 bytes of its body": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no",
    "the answer broke off after 7 bytes of its body": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"
    ),
}
FINE = [
    GOOD,
    b"HTTP/1.1 404 NOT FOUND\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 302 FOUND\r\nlocation: /\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
]


@pytest.mark.parametrize("what", ANSWERS)
def test_bad_answers_are_failures(server: Server, what: str) -> None:
    """An error of the server, no answer, and half of one are failures, told while it goes on and in the receipt."""
    with probing(server.where) as prober:
        prober.phase(DURING)
        server.asked(3)
        server.answer = ANSWERS[what]
        assert awaited(prober.failures)[0] == f"during: {what}"
        found = prober.stop()
    assert found["failed"] == found["phases"][DURING]["failed"] > 0
    assert f"during: {what}" in found["failures"]


@pytest.mark.parametrize("answer", FINE)
def test_good_answers_are_none(server: Server, answer: bytes) -> None:
    """What the app itself means to say is no failure, whatever its status below 500."""
    server.answer = answer
    with probing(server.where) as prober:
        prober.phase(DURING)
        server.asked(5)
        assert prober.failures() == []
        assert prober.stop()["failed"] == 0


def _reset(connection: socket.socket) -> None:
    connection.sendall(GOOD[:-1])
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def test_a_reset_is_a_failure() -> None:
    """A connection that is torn down in the middle of an answer."""
    server = Server(("127.0.0.1", 0))
    server.act = _reset
    with probing(server.where) as prober:
        prober.phase(DURING)
        assert "Connection reset" in awaited(prober.failures)[0]


def test_a_refused_connection_is_a_failure(server: Server) -> None:
    """That nobody listens any more, where somebody did."""
    with probing(server.where) as prober:
        prober.phase(DURING)
        server.asked(2)
        server.close()
        assert awaited(lambda: [text for text in prober.failures() if "refused" in text])


def test_a_request_that_hangs_is_a_failure(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither an answer that never comes nor one that trickles keeps a request alive beyond its time."""
    monkeypatch.setattr(receipt, "REQUEST_SECONDS", 0.3)
    over = threading.Event()

    def trickle(connection: socket.socket) -> None:
        while not over.wait(0.1):
            connection.send(b"x")

    for act in (trickle, lambda _: over.wait()):
        server.act = act
        with probing(server.where) as prober:
            prober.phase(DURING)
            assert "no answer within" in awaited(prober.failures)[0]
            assert prober.stop()["failed"] > 0
    over.set()


def test_failures_are_asked_for_without_waiting(server: Server) -> None:
    """Whoever asks a hundred times while there is none has soon done so."""
    with probing(server.where) as prober:
        began = time.monotonic()
        assert [prober.failures() for _ in range(100)] == [[]] * 100
        assert time.monotonic() - began < PATIENCE


def test_a_sick_app_is_not_hammered(server: Server) -> None:
    """After a failure a client pauses: errors come faster than answers, and asking must not make things worse."""
    server.answer = SICK
    began = time.monotonic()
    with probing(server.where, clients=2, seconds=10 * receipt.PAUSE) as prober:
        asked = prober.stop()["requests"]
    assert asked <= 2 * ((time.monotonic() - began) / receipt.PAUSE + 1)


def test_what_failed_before_the_cutover_is_not_its_doing(server: Server) -> None:
    """An app that is sick before the switch shows in that phase, and is no breach."""
    server.answer = SICK
    with probing(server.where) as prober:
        server.asked(4)
        server.answer = GOOD
        server.asked(4)
        prober.phase(DURING)
        server.asked(4)
        assert prober.failures() == []
        found = prober.stop()
    assert (found["failed"], found["failures"]) == (0, [])
    assert found["phases"]["before"]["failed"] > 0


def test_what_the_cutover_cuts_off_is(server: Server) -> None:
    """A request that began before the switch and fails after that counts."""
    cut = threading.Event()
    server.act = lambda _: cut.wait()
    with probing(server.where, clients=1) as prober:
        prober.phase(DURING)
        server.act = lambda connection: connection.sendall(GOOD)
        cut.set()
        assert awaited(prober.failures) == ["before: closed without an answer"]


def test_a_first_deploy_has_nothing_before_it(tmp_path: Path) -> None:
    """Where nobody listens yet, nothing is waited for, and nothing counts until somebody does."""
    where, began = str(tmp_path / "socket"), time.monotonic()
    with probing(where, seconds=10 * PATIENCE) as prober:
        assert time.monotonic() - began < PATIENCE
        prober.phase(DURING)
        # Nothing tells that it looked and found nobody; this is time enough to look some times.
        time.sleep(4 * receipt.PAUSE)
        assert prober.failures() == []
        Server(where).asked(4)
        found = prober.stop()
    assert found["failed"] == found["phases"]["before"]["requests"] == 0 < found["phases"][DURING]["requests"]


def test_it_ends_where_nobody_ever_listens(tmp_path: Path) -> None:
    """The end of a deploy that failed before anything listened."""
    with probing(str(tmp_path / "socket")) as prober:
        assert prober.stop()["requests"] == 0


def test_requests_under_way_may_end(server: Server) -> None:
    """Those that a slow app has not answered at the end are waited for, and are no failures."""
    reached, answer = threading.Event(), threading.Event()

    def act(connection: socket.socket) -> None:
        reached.set()
        answer.wait()
        connection.sendall(GOOD)

    server.act = act
    with probing(server.where, clients=3) as prober:
        prober.phase(DURING)
        assert reached.wait(PATIENCE)
        threading.Timer(0.2, answer.set).start()
        found = prober.stop()
    assert (found["requests"], found["failed"]) == (3, 0)


APPLIER = """
import sys
from carboy.applier.receipt import Prober
prober = Prober(sys.argv[1], "/", 2)
prober.start(0.05)
print(prober._child, flush=True)
if sys.argv[2] == "stopping":
    prober.stop()
sys.stdin.read()
"""


@pytest.mark.parametrize("moment", ["asking", "stopping"])
def test_it_ends_with_the_applier(tmp_path: Path, moment: str) -> None:
    """Killed with SIGKILL at any moment, the applier leaves no prober behind, though a request of it hangs."""
    server, over, reached = Server(str(tmp_path / "socket")), threading.Event(), threading.Event()

    def act(_: socket.socket) -> None:
        reached.set()
        over.wait()

    server.act = act
    command = [sys.executable, "-c", APPLIER, str(tmp_path / "socket"), moment]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as applier:
        assert applier.stdout
        prober = os.pidfd_open(int(applier.stdout.readline()))
        assert reached.wait(PATIENCE)
        applier.kill()
    assert select.select([prober], [], [], PATIENCE / 4)[0] == [prober]
    over.set()


def test_it_holds_nothing_of_the_appliers(server: Server, tmp_path: Path) -> None:
    """Neither its lock nor its channel: both end with the applier, not with the prober."""
    with open(tmp_path / "lock", "w") as lock, open(tmp_path / "lock") as other:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with probing(server.where) as prober:
            lock.close()
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            standard = [Path(f"/proc/{prober._child}/fd/{number}").readlink() for number in range(3)]
            assert standard == [Path(os.devnull)] * 3


def test_a_prober_that_was_killed_is_a_failure(server: Server) -> None:
    """What it had counted is lost, so nothing may be said to be well."""
    with probing(server.where) as prober:
        os.kill(prober._child, signal.SIGKILL)
        assert awaited(prober.failures) == [ENDED]
        found = prober.stop()
    assert (found["requests"], found["failed"], found["failures"]) == (0, 1, [ENDED])


def test_a_prober_that_hangs_is_ended(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The applier waits for the receipt, and not for ever."""
    monkeypatch.setattr(receipt, "STOP_SECONDS", 0.2)
    with probing(server.where) as prober:
        os.kill(prober._child, signal.SIGSTOP)
        assert prober.stop()["failures"] == [ENDED]
    with pytest.raises(ProcessLookupError):
        os.kill(prober._child, 0)


@pytest.mark.parametrize(
    ("seconds", "percent", "expected"),
    [
        ([], 99, None),
        ([0.1], 50, 100.0),
        ([0.1, 0.2], 50, 100.0),
        ([0.1, 0.2], 99, 200.0),
        ([number / 1000 for number in range(1, 101)], 99, 99.0),
        ([number / 1000 for number in range(1, 102)], 99, 100.0),
    ],
)
def test_percentiles(seconds: list[float], percent: int, expected: float | None) -> None:
    """The nearest rank: a time that was really seen, in ms."""
    assert percentile(seconds, percent) == expected
