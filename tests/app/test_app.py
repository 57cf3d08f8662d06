"""The app that ships with Carboy."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from app.factory import create_app

ROOT = Path(__file__).parents[2]
RELEASE = "20261122T143806-0123abcd"


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    """A client of the app as a release runs it."""
    monkeypatch.setenv("CARBOY_RELEASE", RELEASE)
    return create_app().test_client()


def test_health(client: FlaskClient) -> None:
    """The health path says ok and which release says so."""
    response = client.get("/health")
    assert (response.status_code, response.json) == (200, {"status": "ok", "release": RELEASE})


def test_slow_path(client: FlaskClient) -> None:
    """The test path answers a plain ok."""
    response = client.get("/test")
    assert (response.text, response.mimetype) == ("ok", "text/plain")


@pytest.mark.parametrize("path", ["/", "/health", "/test", "/absent"])
def test_every_response_names_the_release(client: FlaskClient, path: str) -> None:
    """Every response, an error too, says which release answered, and is not to be cached."""
    headers = client.get(path).headers
    assert (headers["X-Release"], headers["Cache-Control"]) == (RELEASE, "no-store")


def test_release_of_a_laptop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody deployed it, the release is called development."""
    monkeypatch.delenv("CARBOY_RELEASE", raising=False)
    assert create_app().test_client().get("/health").headers["X-Release"] == "development"


def test_page_says_who_answered(client: FlaskClient) -> None:
    """The page names the release, the host, the worker, its start and the versions."""
    page = client.get("/", environ_base={"SERVER_SOFTWARE": "gunicorn/27.0.1"}).text
    assert all(word in page for word in (RELEASE, socket.gethostname(), f"pid {os.getpid()}", "gunicorn 27.0.1"))
    assert all(f"<dt>{name}</dt>" in page for name in ("Since", "Uptime", "Python", "Flask"))


def test_page_escapes_the_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release with markup in its name is shown as text."""
    monkeypatch.setenv("CARBOY_RELEASE", "<script>")
    assert "<script>" not in create_app().test_client().get("/").text


class Assets(HTMLParser):
    """Collects what a page would load, and the nonces of its styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.nonces: list[str | None] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one element."""
        self.loaded += [name for name, _ in attrs if name in ("src", "href", "style")]
        self.nonces += [dict(attrs)["nonce"]] if tag == "style" else []


def test_page_loads_nothing(client: FlaskClient) -> None:
    """The page has no asset of its own, and its policy allows exactly its one style, under a new nonce each time."""
    first, second = client.get("/"), client.get("/")
    assets = Assets(first.text)
    assert assets.loaded == [] and "url(" not in first.text and "@import" not in first.text
    assert re.findall(r"style-src 'nonce-([^']+)'", first.headers["Content-Security-Policy"]) == assets.nonces
    assert "default-src 'none'" in first.headers["Content-Security-Policy"]
    assert assets.nonces != Assets(second.text).nonces


def test_clock_restarts_in_a_forked_worker() -> None:
    """A worker forked from a preloaded app counts from its own start."""
    code = (
        "import os; from datetime import timedelta; from app.factory import worker\n"
        "worker.started -= timedelta(hours=5)\n"
        "child = os.fork()\n"
        "if not child: os._exit(worker.uptime.total_seconds() > 3600)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0 and worker.uptime.total_seconds() > 3600\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_development_server() -> None:
    """`python -m app` serves on 127.0.0.1, on the port that it was given."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "app", "--port", str(port)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        assert server.stdout is not None
        assert any(f"http://127.0.0.1:{port}" in line for line in server.stdout)
        server.terminate()
