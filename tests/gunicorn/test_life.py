"""gunicorn under this configuration: parallel requests, rotation, death and the end, on inherited sockets."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from gunicorn_process import Gunicorn, read_all, write_release

CLASSES = ["gevent", "gthread", "sync"]


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads that make requests at the same time."""
    with ThreadPoolExecutor(10) as threads:
        yield threads


@pytest.mark.parametrize("preload", [True, False])
def test_gevent_serves_in_parallel(tmp_path: Path, pool: ThreadPoolExecutor, preload: bool) -> None:
    """One gevent worker has five requests at once in an app that imported `sleep` before the worker existed."""
    with Gunicorn(write_release(tmp_path / "r", workers=1, preload=preload)) as server:
        met = [future.result() for future in [pool.submit(server.get, "/meet") for _ in range(5)]]
    assert met == [b"5"] * 5


def test_shipped_app(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    """The app that ships with Carboy serves from a release, names it, and waits for ten requests at once."""
    with Gunicorn(write_release(tmp_path / "r", workers=1), wsgi="app.wsgi:app") as server:
        assert b'"release":"20261122-0123abcd"' in server.get("/health")
        assert b"gunicorn 27" in server.get("/", unix=True)
        alone = _seconds(server, pool, 1)
        assert _seconds(server, pool, 10) < 5 * alone


def _seconds(server: Gunicorn, pool: ThreadPoolExecutor, count: int) -> float:
    begun = time.monotonic()
    answers = [future.result() for future in [pool.submit(server.get, "/test") for _ in range(count)]]
    assert answers == [b"ok"] * count
    return time.monotonic() - begun


@pytest.mark.parametrize("worker_class", CLASSES)
def test_rotation_keeps_every_line(tmp_path: Path, pool: ThreadPoolExecutor, worker_class: str) -> None:
    """Rename and USR1 to the main process, ten times under load: each answered request is one line."""
    with Gunicorn(write_release(tmp_path / "r", worker_class=worker_class)) as server:
        load = [pool.submit(_request_until, server, server.release / "enough") for _ in range(4)]
        for number in range(10):
            _rotate(server, number, load)
        (server.release / "enough").touch()
        answered = sum(future.result() for future in load)
        assert server.stop() == 0
    assert len(server.entries()) == answered
    assert all((server.release / f"access.log.{number}").stat().st_size for number in range(10))


def _request_until(server: Gunicorn, enough: Path) -> int:
    answered = 0
    while not enough.exists():
        assert server.get("/") == b"ok"
        answered += 1
    return answered


def _rotate(server: Gunicorn, number: int, load: list[Future[int]]) -> None:
    """Rotate once the current file has lines, and wait until gunicorn has opened a new one."""
    log = server.release / "access.log"
    _wait_for(lambda: log.exists() and log.stat().st_size > 1000, load)
    log.rename(server.release / f"access.log.{number}")
    server.process.send_signal(signal.SIGUSR1)
    _wait_for(log.exists, load)


def _wait_for(happened: Callable[[], bool], load: list[Future[int]]) -> None:
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline and not any(future.done() for future in load)
        time.sleep(0.005)


@pytest.mark.parametrize("worker_class", CLASSES)
def test_term_finishes_requests(tmp_path: Path, worker_class: str) -> None:
    """TERM to the main process lets the request under way finish, and gunicorn then exits with 0."""
    with Gunicorn(write_release(tmp_path / "r", worker_class=worker_class)) as server:
        with server.connect() as connection:
            connection.sendall(b"GET /slow HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n")
            received = b""
            while b"begun," not in received:
                received += connection.recv(4096)
            server.process.send_signal(signal.SIGTERM)
            assert read_all(connection) == b"ended"
        assert server.stop() == 0
    assert [entry["request_path"] for entry in server.entries()] == ["/slow"]


def test_killed_worker_is_replaced(tmp_path: Path) -> None:
    """A worker that dies is replaced by the patched main process, and the next request waits for the new one."""
    with Gunicorn(write_release(tmp_path / "r", workers=1)) as server:
        killed = int(server.get("/pid"))
        os.kill(killed, signal.SIGKILL)
        assert int(server.get("/pid")) != killed
