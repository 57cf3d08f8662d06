"""The servers that are programs of Carboy's: how they refuse, what they say then, and where they say it."""

from __future__ import annotations

import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from served import APP, KINDS, ROOT, Served

from carboy.applier.causes import likely
from carboy.applier.excerpt import excerpt

PROGRAMS = ["gevent", "flask"]
REFUSED = {
    "absent:app": "app_wsgi names the module absent, which is not in the app",
    "probe_app:nothing": "app_wsgi names nothing, which is not in probe_app",
    "probe_app": "app_wsgi names application, which is not in probe_app",
    "probe_app:CALLS": "app_wsgi names CALLS in probe_app, which is no WSGI app: it cannot be called",
    "broken:app": "ZeroDivisionError in broken.py, line 2",
    "needy:app": "the module stripe is not installed",
}


def ended(server: Served) -> int:
    """Start a server that will not serve, and wait for its exit code."""
    server.process = server.start()
    return server.process.wait(timeout=20)


@pytest.mark.parametrize("kind", PROGRAMS)
def test_refusals(tmp_path: Path, kind: str) -> None:
    """A server that cannot serve ends at once, and its log leads to the cause."""
    server = Served(tmp_path / "r", KINDS[kind])
    (server.release / "tree/broken.py").write_text("def app():\n    return 1 / 0\n\n\napp()\n")
    (server.release / "tree/needy.py").write_text("import stripe\n")
    for wsgi, cause in REFUSED.items():
        server.wsgi = wsgi
        (server.release / "error.log").write_text("")
        assert ended(server) == 1
        read = excerpt(server.output(), str(server.release))
        symptoms = f"wsgi: {wsgi}\nunit: failed (exit-code), exit status 1\nsaid: {read.said}\nplace: {read.place}"
        assert likely(symptoms).words == cause
        assert not any("carboy_" in line and "File" in line for line in read.lines)


@pytest.mark.parametrize("kind", PROGRAMS)
def test_app_that_ends_itself(tmp_path: Path, kind: str) -> None:
    """The exit code of an app that ends itself is that of the server."""
    server = Served(tmp_path / "r", KINDS[kind], wsgi="leaves:app")
    (server.release / "tree/leaves.py").write_text("import sys\n\nsys.exit(4)\n")
    assert ended(server) == 4


@pytest.mark.parametrize("kind", PROGRAMS)
def test_logs_of_a_candidate(tmp_path: Path, kind: str) -> None:
    """In the environment of a candidate all is said on stdout and stderr, and the log files are left alone."""
    with Served(tmp_path / "r", KINDS[kind], **KINDS[kind].candidate) as server:
        server.get("/plain")
        server.get("/boom")
        assert server.stop() == 0
    assert '"request_path": "/plain"' in server.output() and "RuntimeError: the app failed" in server.output()
    assert not list(server.release.glob("*.log"))


def test_log_that_cannot_be_opened(tmp_path: Path) -> None:
    """A log that cannot be opened is named."""
    server = Served(tmp_path / "r", KINDS["gevent"], CARBOY_LOGS="/nowhere")
    assert ended(server) == 1
    assert server.output() == "the log /nowhere/access.log cannot be opened: No such file or directory\n"


@pytest.mark.parametrize("kind", PROGRAMS)
def test_rotation_while_it_starts(tmp_path: Path, kind: str) -> None:
    """USR1 while the app is imported does no harm."""
    server = Served(tmp_path / "r", KINDS[kind], wsgi="starts:app")
    code = f"import os\nos.kill(os.getpid(), {int(signal.SIGUSR1)})\nfrom probe_app import app\n"
    (server.release / "tree/starts.py").write_text(code)
    with server:
        assert server.get("/") == b"ok"


@pytest.mark.parametrize("kind", PROGRAMS)
def test_rotation_that_fails(tmp_path: Path, kind: str) -> None:
    """A log that cannot be opened after its rotation ends no server: it writes on to the old one, and says so."""
    with Served(tmp_path / "r", KINDS[kind]) as server:
        (server.release / "access.log").rename(server.release / "old")
        (server.release / "access.log").mkdir()
        server.process.send_signal(signal.SIGUSR1)
        until = time.monotonic() + 20
        while "access.log cannot be opened: Is a directory" not in server.output():
            assert server.get("/") == b"ok" and time.monotonic() < until
        assert server.get("/after") and server.stop() == 0
    assert '"request_path": "/after"' in (server.release / "old").read_text()


@pytest.mark.parametrize("kind", ["gunicorn-gevent", *PROGRAMS])
def test_scheme(tmp_path: Path, kind: str) -> None:
    """A proxy on this host, or at a unix socket, is believed that its client came by https; others are not."""
    https = "X-Forwarded-Proto: https"
    with Served(tmp_path / "r", KINDS[kind]) as server:
        assert (server.get("/scheme"), server.get("/scheme", https)) == (b"http", b"https")
        assert server.get("/scheme", https, unix=True) == b"https"
    with Served(tmp_path / "s", KINDS[kind], FORWARDED_ALLOW_IPS="192.0.2.1") as server:
        assert server.get("/scheme", https) == b"http"
    with Served(tmp_path / "t", KINDS[kind], FORWARDED_ALLOW_IPS="192.0.2.1, 127.0.0.0/8") as server:
        assert server.get("/scheme", https) == b"https"


@pytest.mark.parametrize("kind", PROGRAMS)
def test_behind_a_proxy(tmp_path: Path, kind: str) -> None:
    """Where nginx stands in front the log has the client's address, as nginx says it on the unix socket."""
    behind = replace(KINDS[kind], app=replace(APP, proxy="nginx", listen="/run/probe.sock"))
    server = Served(tmp_path / "r", behind)
    shutil.copy(ROOT / "templates/nginx/proxied.py", server.release / "carboy_proxied.py")
    with server:
        server.get("/behind", "X-Real-IP: 192.0.2.7", unix=True)
        server.get("/direct", "X-Real-IP: 192.0.2.7")
        server.stop()
    assert [entry["remote_addr"] for entry in server.entries()] == ["192.0.2.7", "127.0.0.1"]


def test_errors_in_the_browser(tmp_path: Path) -> None:
    """`flask_debug` shows the traceback to who asks, without a console to run code in; by default nobody sees it."""
    shown = []
    for debug in (False, True):
        with Served(tmp_path / str(debug), replace(KINDS["flask"], debug=debug)) as server:
            shown.append(server.send(b"GET /boom HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n"))
    assert b"the app failed" not in shown[0] and b"the app failed" in shown[1]
    assert b"EVALEX = false" in shown[1]
