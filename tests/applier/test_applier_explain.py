"""A failure explained: what is kept of a log, which facts are shown, and what they are taken to mean."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from carboy.applier.case import Case, facts, recent, symptoms
from carboy.applier.causes import CAUSES, UNKNOWN, likely
from carboy.applier.excerpt import LINES, excerpt
from carboy.applier.host import Host
from carboy.applier.probe import Answer
from carboy.applier.space import room, with_room
from carboy.applier.store import Store
from carboy.applier.systemd import explain
from carboy.applier.systemd.units import Units
from carboy.applier.waiting import unanswered

RELEASE = "/srv/shop/releases/20260101T000000Z-0123abcd"
PACKAGES = f"{RELEASE}/venv/lib/python3.11/site-packages"
UNIT = "shop-candidate@20260101T000000Z-0123abcd.service"
CRASH = f"""\
[2026-01-01 00:00:00 +0000] [70] [INFO] Starting gunicorn 27.0.1
Traceback (most recent call last):
  File "{PACKAGES}/gunicorn/util.py", line 420, in import_app
    mod = importlib.import_module(module)
  File "<frozen importlib._bootstrap>", line 1206, in _gcd_import
  File "{RELEASE}/tree/shop/wsgi.py", line 7, in <module>
    run()
    ^^^^^
  File "{RELEASE}/tree/shop/db.py", line 3, in run
    connect(url)
  File "{PACKAGES}/driver/__init__.py", line 99, in connect
    raise Refused("no")
driver.Refused: no
"""
# One for each row of the table, in its order, with words that must be said.
EXAMPLES = (
    ("probe: 404 /ready", "/ready answers 404"),
    ("probe: 401 /ready", "a login"),
    ("probe: 400 /ready", "localhost"),
    ("probe: 405 /ready", "/ready answers 405"),
    ("full: /var/log", "no room is left on /var/log"),
    ("said: OSError: [Errno 122] Disk quota exceeded", "cannot write: Disk quota exceeded"),
    ("memory: killed at 64 MB", "the kernel killed it at its limit of 64 MB"),
    ("memory: killed", "the host ran out of memory"),
    ("memory: suspect at 64 MB", "probably at its limit of 64 MB"),
    ("unit: failed (timeout), killed by SIGKILL\npatience: 9 s", "not finished importing after 9 s"),
    ("waits: 10.0.0.1:5432\nprobe: no answer on /: nothing within 9 s", "waits for a connection to 10.0.0.1:5432"),
    ("probe: no answer on /ready: nothing within 9 s\nlog: waiting", "no answer within 9 s"),
    ("said: IndentationError: unexpected indent\nplace: shop.py, line 3", "IndentationError in shop.py, line 3"),
    ("wsgi: shop.web:app\nsaid: ModuleNotFoundError: No module named 'shop'", "app_wsgi names the module shop.web"),
    ("log: /srv/shop/releases/1/venv/bin/python: No module named gunicorn", "the server gunicorn is not installed"),
    ("wsgi: shop:app\nsaid: ModuleNotFoundError: No module named 'shopify'", "the module shopify is not installed"),
    ("said: gunicorn.errors.AppImportError: Failed to find attribute 'x' in 'y'.", "names x, which is not in"),
    ("said: carboy_server.WsgiNameError: app_wsgi names x, which is not in y", "app_wsgi names x, which is not in y"),
    ("said: gunicorn.errors.AppImportError: Application object must be callable.", "must be callable"),
    ("said: ImportError: cannot import name 'x' from 'y' (/y.py)", "the module y has no x: probably"),
    ("said: ImportError: libpq.so.5: cannot open shared object file: No such file", "library libpq.so.5 is missing"),
    (
        "frame: File \"/usr/lib/python3.9/os.py\", line 679, in __getitem__\nsaid: KeyError: 'KEY'",
        "variable KEY is not",
    ),
    ("said: OSError: [Errno 30] Read-only file system: '/etc/x'", "it writes to /etc/x"),
    ("said: sqlite3.OperationalError: attempt to write a readonly database", "probably writes"),
    ("said: PermissionError: [Errno 13] Permission denied: '/root/x'", "its user may not open /root/x"),
    ("said: PermissionError: [Errno 1] Operation not permitted", "probably asks for what its sandbox forbids"),
    ("said: OSError: [Errno 98] Address already in use", "another program has"),
    ("said: driver.Error: Connection refused by 10.0.0.1", "cannot reach what it connects to: Connection refused"),
    ("said: OSError: [Errno 24] Too many open files", "too many files"),
    ("said: RuntimeError: can't start new thread", "processes and threads"),
    ("said: MemoryError", "more memory than there is"),
    ("log: Failed to set up mount namespacing: /run/systemd/unit-root/x: No such file or directory", "there is no /x"),
    ("unit: failed (exit-code), exit status 203", "cannot start the Python"),
    ("unit: failed (exit-code), exit status 217", "what its unit asks for (217"),
    ("unit: failed (resources)", "cannot read what its unit names"),
    ("unit: failed (signal), killed by SIGILL", "probably crashed it (SIGILL)"),
    (
        "probe: 500 /ready\nsaid: ValueError: x\nplace: shop.py, line 3",
        "/ready answers 500: ValueError in shop.py, line 3",
    ),
    ("probe: 500 /ready\nsaid: ValueError: x", "/ready answers 500: ValueError"),
    ("probe: 503 /ready", "the app itself says"),
    ("log: WORKER TIMEOUT (pid:7)", "gunicorn killed it"),
    (
        "probe: no answer on /: nothing within 9 s\nlog: Worker (pid:7) was sent SIGSEGV!",
        "a worker died: it was sent SIGS",
    ),
    ("unit: failed (exit-code), exit status 1\nsaid: ValueError: x\nplace: shop.py, line 3", "ValueError in shop.py"),
    ("unit: failed (exit-code), exit status 1\nsaid: ValueError: x", "ValueError"),
    ("unit: activating (success)\nheard: ValueError: x\nplace: shop.py, line 3", "probably ValueError in shop.py"),
    ("log: Main process exited, code=killed, status=9/KILL", "its main process died (code=killed"),
    ("unit: failed (start-limit-hit)", "it crashed so often"),
    ("unit: failed (exit-code), exit status 1\nlog: Error: no", "gunicorn refused"),
    ("unit: failed (exit-code), exit status 4", "it ended itself with exit status 4"),
)


def case(log: str = "", answer: Answer | None = None, **shown: str) -> Case:
    """What would be known of a unit, which is active and well unless told otherwise."""
    names = dict.fromkeys(explain.PROPERTIES.split(","), "")
    state = {"ActiveState": "active", "Result": "success", "ExecMainCode": "0", "ExecMainStatus": "0", **shown}
    return Case({"health": "/ready", "start_timeout": 60.0}, {**names, **state}, excerpt(log, RELEASE), answer)


@pytest.mark.parametrize(("number", "example"), [*enumerate(EXAMPLES)])
def test_each_cause_is_found(number: int, example: tuple[str, str]) -> None:
    """Each row of the table has symptoms that lead to it, past all rows above it, and nothing is left to fill in."""
    assert len(EXAMPLES) == len(CAUSES)
    cause = likely(example[0])
    assert cause.pattern == CAUSES[number].pattern
    assert example[1] in cause.words
    assert "\\" not in "".join(cause[1:])


@pytest.mark.parametrize("told", ["", "unit: failed (success)", "log: all is well", "heard: ValueError: x"])
def test_nothing_is_guessed(told: str) -> None:
    """Where nothing fits no cause is named."""
    assert likely(told) == UNKNOWN


def test_an_exception_that_the_app_survived_is_not_the_cause() -> None:
    """A traceback in the log of an app that runs and answers 404 does not explain the 404, nor one that hangs."""
    log = CRASH.replace("driver.Refused: no", "ModuleNotFoundError: No module named 'uvloop'")
    assert "no such page" in likely(symptoms(case(log, Answer(404)))).words
    assert "no answer within 2 s" in likely(symptoms(case(log, Answer(error="no answer: nothing within 2 s")))).words
    assert "uvloop" in likely(symptoms(case(log, ActiveState="failed", ExecMainCode="1", ExecMainStatus="1"))).words
    assert likely(symptoms(case(log, NRestarts="1"))).words == "probably ModuleNotFoundError in shop/db.py, line 3"


def test_a_traceback_is_made_short() -> None:
    """Only the app's frames are kept, with paths as in its source; the exception and where it was raised are known."""
    found = excerpt(CRASH, RELEASE)
    assert found.lines == [
        '  File "shop/wsgi.py", line 7, in <module>',
        "    run()",
        '  File "shop/db.py", line 3, in run',
        "    connect(url)",
        "driver.Refused: no",
    ]
    assert (found.said, found.place) == ("driver.Refused: no", "shop/db.py, line 3")
    assert found.frame == 'File "site-packages/driver/__init__.py", line 99, in connect'


def test_a_traceback_without_the_app_keeps_its_last_frame() -> None:
    """An app that is all in its requirements has no frames of its own."""
    log = CRASH.replace(f"{RELEASE}/tree/shop", f"{PACKAGES}/shop")
    assert excerpt(log, RELEASE).lines[0] == '  File "site-packages/driver/__init__.py", line 99, in connect'


def test_a_log_is_made_short() -> None:
    """Access lines and gunicorn's own good news go, what repeats itself is counted, and the end is kept."""
    death = "[2026-01-01 00:00:0%d +0000] [70] [ERROR] Worker (pid:%d) exited with code 1."
    log = '{"@timestamp": "now"}\n' + "\n".join(death % (at, at) for at in range(9))
    assert excerpt(log, RELEASE).lines == ["Worker (pid:0) exited with code 1. (9 times)"]
    assert excerpt("\n".join("abcdefghijklmnopqrstuvwxyz"), RELEASE).lines == [*"abcdefghijklmnopqrstuvwxyz"][-LINES:]


@pytest.mark.parametrize(
    ("made", "line"),
    [
        (case(answer=Answer(404, "<title>x</title><h1>Not\nFound</h1>")), "probe: 404 Not Found"),
        (case(answer=Answer(error="no answer")), "probe: no answer"),
        (case(), ""),
        (case(ActiveState="failed", Result="signal", ExecMainCode="2", ExecMainStatus="11"), "killed by SIGSEGV"),
        (case(ActiveState="failed", Result="exit-code", ExecMainCode="1", ExecMainStatus="3"), "exit status 3"),
        (case(NRestarts="2"), "unit: active (success), restarts: 2"),
    ],
)
def test_facts(made: Case, line: str) -> None:
    """A fact is shown where it tells something, and only there."""
    assert facts(made).endswith(line) and len(facts(made).splitlines()) == bool(line)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"Result": "oom-kill", "MemoryMax": str(64 << 20)}, "memory: killed at 64 MB"),
        ({"Result": "oom-kill", "MemoryMax": "infinity"}, "memory: killed"),
        ({"Result": "signal", "MemoryMax": str(64 << 20)}, "memory: suspect at 64 MB"),
        ({"Result": "timeout", "MemoryMax": str(64 << 20)}, ""),
        ({"Result": "signal", "MemoryMax": "infinity"}, ""),
    ],
)
def test_memory(more: dict[str, str], words: str) -> None:
    """A SIGKILL that nobody explains is only suspected of a limit that there is; one after a timeout is systemd's."""
    told = symptoms(case(ActiveState="failed", ExecMainCode="2", ExecMainStatus="9", **more))
    assert [line for line in told.splitlines() if line.startswith("memory")] == [words] * bool(words)


def test_only_what_is_new_in_a_log(tmp_path: Path) -> None:
    """Of a log that others wrote before, the lines since then count, with those that have no time of their own."""
    log = tmp_path / "error.log"
    stamp = "[%Y-%m-%d %H:%M:%S +0000] [7] [ERROR] "
    then, now = (time.strftime(stamp, time.gmtime(at)) for at in (time.time() - 60, time.time()))
    log.write_text(f"{then}old\n  with a tail\n{now}new\n  with another\n")
    assert recent(log, time.time() - 30) == f"{now}new\n  with another"
    assert recent(log, time.time() + 30) == ""
    assert recent(tmp_path / "none.log", 0) == ""


def test_a_failure_that_cannot_be_explained_is_still_one(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way back goes on whatever goes wrong while facts are collected."""
    monkeypatch.setattr(Host, "run", lambda *_: 1 / 0)
    failed = explain.failure(Units(Store(host, "shop")), UNIT, "it does not start")
    assert (failed.what, failed.hint) == ("it does not start", f"see: journalctl -u {UNIT} -n 100")
    assert "ZeroDivisionError" in failed.details


def test_room(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Disks are told of where a write failed, and where they are nearly full; once is enough."""
    (host.root / "srv").mkdir()
    assert room(host, "all is well") == []
    [line] = room(host, "OSError: [Errno 28] No space left on device")
    assert line.startswith("disk: /, /srv: ") and line.endswith(" free")
    assert with_room(host, "No space left on device\n" + line) == "No space left on device\n" + line
    assert with_room(host, "fine") == "fine"
    nearly_full = os.statvfs_result((4096, 4096, 10**6, 10, 10, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: nearly_full)
    assert room(host, "") == ["disk: /, /srv: 0 MB free"]


def test_what_an_app_waits_for(host: Host) -> None:
    """Connections that its user asked for and that are not answered are told, and no others."""
    (host.root / "proc/7").mkdir(parents=True)
    (host.root / "proc/net").mkdir()
    row = "0: 00000000:9C40 %s %s 00000000:00000000 01:00000064 00000000 %d 0 1\n"
    mine, other = os.getuid(), os.getuid() + 1
    rows = [("0100000A:1538", "02", mine), ("0200000A:1538", "01", mine), ("0300000A:1538", "02", other)]
    (host.root / "proc/net/tcp").write_text("head\n" + "".join(row % each for each in rows))
    v6 = "B80D0120000000000000000001000000:18EB"
    (host.root / "proc/net/tcp6").write_text("head\n" + row % (v6, "02", mine))
    assert unanswered(host, "7") == ["10.0.0.1:5432", "[2001:db8::1]:6379"]
    assert unanswered(host, "0") == unanswered(host, "8") == []
