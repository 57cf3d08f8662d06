"""Every server under load: parallel requests, rotation, death and the end, on inherited sockets and on its own."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest
from served import APP, GUNICORN, KINDS, RELEASE, Served, read_all, request

from roles import app

ONE_WORKER = replace(GUNICORN, workers=1)
PARALLEL = {
    "preload": ONE_WORKER,
    "no preload": replace(ONE_WORKER, preload=False),
    "gthread": replace(ONE_WORKER, worker_class="gthread", threads=5),
    "gevent": KINDS["gevent"],
    "flask": KINDS["flask"],
}


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads that make requests at the same time."""
    with ThreadPoolExecutor(10) as threads:
        yield threads


@pytest.mark.parametrize("how", PARALLEL)
def test_parallel_requests(tmp_path: Path, pool: ThreadPoolExecutor, how: str) -> None:
    """One process has five requests at once in an app that imported `sleep` before any server could change it."""
    with Served(tmp_path / "r", PARALLEL[how]) as server:
        met = [future.result() for future in [pool.submit(server.get, "/meet") for _ in range(5)]]
    assert met == [b"5"] * 5


def test_shipped_app(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    """The app that ships with Carboy serves from a release, names it, and waits for ten requests at once."""
    with Served(tmp_path / "r", ONE_WORKER, wsgi="app.wsgi:app") as server:
        assert RELEASE.encode() in server.get("/health")
        assert b"gunicorn 27" in server.get("/", unix=True)
        alone = _seconds(server, pool, 1)
        assert _seconds(server, pool, 10) < 5 * alone


def _seconds(server: Served, pool: ThreadPoolExecutor, count: int) -> float:
    begun = time.monotonic()
    answers = [future.result() for future in [pool.submit(server.get, "/test") for _ in range(count)]]
    assert answers == [b"ok"] * count
    return time.monotonic() - begun


@pytest.mark.parametrize("kind", KINDS)
def test_rotation_keeps_every_line(tmp_path: Path, pool: ThreadPoolExecutor, kind: str) -> None:
    """Rename and USR1 to the main process, ten times under load: each answered request is one line."""
    with Served(tmp_path / "r", KINDS[kind]) as server:
        with _load(server, pool) as load:
            for number in range(10):
                _rotate(server, number, load)
        answered = sum(client.result() for client in load)
        assert server.stop() == 0
    assert len(server.entries()) == answered
    assert all((server.release / f"access.log.{number}").stat().st_size for number in range(10))


@contextmanager
def _load(server: Served, pool: ThreadPoolExecutor) -> Iterator[list[Future[int]]]:
    """Four clients that ask again and again; each one's result is how often it was answered."""
    enough = Event()
    load = [pool.submit(_request_until, server, enough) for _ in range(4)]
    try:
        yield load
    finally:
        enough.set()
        wait(load)


def _request_until(server: Served, enough: Event) -> int:
    answered = 0
    while not enough.is_set():
        assert server.get("/") == b"ok"
        answered += 1
    return answered


def _rotate(server: Served, number: int, load: list[Future[int]]) -> None:
    """Rotate once the current file has lines, and wait until the server has opened a new one."""
    log = server.release / "access.log"
    _wait_for(lambda: log.exists() and log.stat().st_size > 1000, load)
    log.rename(server.release / f"access.log.{number}")
    server.process.send_signal(signal.SIGUSR1)
    _wait_for(log.exists, load)


def _wait_for(happened: Callable[[], bool], load: Sequence[Future[int]] = ()) -> None:
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline and not any(client.done() for client in load)
        time.sleep(0.005)


@pytest.mark.parametrize("kind", KINDS)
def test_no_request_is_lost(tmp_path: Path, pool: ThreadPoolExecutor, kind: str) -> None:
    """TERM under load, once another one accepts from the same sockets: every request is answered, exit code 0."""
    with Served(tmp_path / "r", KINDS[kind]) as server, _load(server, pool) as load:
        slow = _begun(server)
        server.environment = {"RUNTIME_DIRECTORY": str(tmp_path)}
        old, server.process = server.process, server.start()
        server.await_notice("READY=1")
        old.send_signal(signal.SIGTERM)
        assert read_all(slow) == b"ended"
        assert old.wait(timeout=20) == 0
    assert all(client.result() for client in load)


def _begun(server: Served) -> socket.socket:
    """A connection on which half of an answer has come."""
    connection = server.connect()
    connection.sendall(request("/slow", "Connection: close"))
    _read_until(connection, b"begun,")
    return connection


def _read_until(connection: socket.socket, end: bytes) -> None:
    received = b""
    while not received.endswith(end):
        received += connection.recv(4096)
        assert received


@pytest.mark.parametrize("kind", ["gevent", "flask"])
def test_stop_timeout(tmp_path: Path, kind: str) -> None:
    """What does not finish in time is cut off, which the log says, and what never began is not waited for so long."""
    hasty = replace(KINDS[kind], app=replace(APP, stop_timeout=app.Duration(1)))
    with Served(tmp_path / "r", hasty) as server, server.connect() as stuck:
        stuck.sendall(request("/hang"))
        _wait_for(lambda: (server.release / "tree/calls").stat().st_size == 1)
        assert server.stop() == 0
        assert read_all(stuck) == b""
        assert "1 connections were cut off after 1 s" in server.output()


def test_idle_connections(tmp_path: Path) -> None:
    """At its end gevent takes no more, lets go of idle connections, and answers requests that came before, or began."""
    with (
        Served(tmp_path / "r", replace(KINDS["gevent"], keepalive=3600)) as server,
        server.connect() as idle,
        server.connect() as late,
        server.connect() as busy,
    ):
        for connection in (idle, idle, late):
            connection.sendall(request("/"))
            _read_until(connection, b"ok")
        busy.sendall(request("/meet"))
        _wait_for(lambda: (server.release / "tree/calls").stat().st_size == 4)
        server.process.send_signal(signal.SIGSTOP)
        late.sendall(request("/"))
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGCONT)
        assert read_all(idle) == b""
        after = server.connect()
        after.sendall(request("/after"))
        assert read_all(late).endswith(b"ok")
        answer = read_all(busy)
        assert answer.endswith(b"1") and b"Connection: close" in answer
        assert server.process.wait(timeout=20) == 0
        after.close()
    assert "/after" not in [entry["request_path"] for entry in server.entries()]


def test_keepalive(tmp_path: Path) -> None:
    """gevent closes a connection that is idle for too long, and with 0 after each answer, which it says."""
    with Served(tmp_path / "r", replace(KINDS["gevent"], keepalive=1)) as server, server.connect() as connection:
        connection.sendall(request("/"))
        answer = read_all(connection)
        assert answer.endswith(b"ok") and b"close" not in answer
    with Served(tmp_path / "s", replace(KINDS["gevent"], keepalive=0)) as server, server.connect() as connection:
        connection.sendall(request("/"))
        assert b"Connection: close" in read_all(connection)


def test_full_house(tmp_path: Path) -> None:
    """When gevent holds as many connections as it may, the next one waits, while the private socket still answers."""
    small = replace(KINDS["gevent"], connections=1)
    with Served(tmp_path / "r", small) as server, server.connect() as first, server.connect() as second:
        first.sendall(request("/meet"))
        _wait_for(lambda: (server.release / "tree/calls").stat().st_size == 1)
        second.sendall(request("/", "Connection: close"))
        assert server.get("/", unix=True) == b"ok"
        assert len(server.entries()) == 1
        first.shutdown(socket.SHUT_WR)
        assert read_all(first).endswith(b"1") and read_all(second).endswith(b"ok")


@pytest.mark.parametrize("kind", KINDS)
def test_own_socket(tmp_path: Path, kind: str) -> None:
    """Where nothing is inherited a server binds to CARBOY_BIND, also where a dead one left its unix socket."""
    with Served(tmp_path / "r", KINDS[kind]) as server:
        for address in ("127.0.0.1:%d", "[::1]:%d", f"unix:{server.path}"):
            server.kill()
            port = _free_port()
            server.environment = {"CARBOY_BIND": address.replace("%d", str(port))}
            server.process = server.start(inherit=False)
            server.await_notice("READY=1")
            server.address = ("::1" if "::" in address else "127.0.0.1", port)
            assert server.get("/", unix="%d" not in address) == b"ok"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
