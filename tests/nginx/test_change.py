"""What is put back when nginx cannot have a new site, below a temporary root; a thread answers in nginx's place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from carboy.applier.host import Host
from carboy.applier.maintenance import maintenance, place
from carboy.applier.nginx import back, change, proof
from carboy.applier.nginx.site import Site
from carboy.applier.resource import Failure, Stranded
from carboy.catalog import Content
from tests.support.controller import Controller

OLD, NEW = "0123456789abcdef", "fedcba9876543210"


@contextmanager
def answering(text: str) -> Iterator[int]:
    """Something that answers this to every question on the host, and its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.80.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def _text(port: int, mark: str) -> str:
    return f"server {{\n    listen {port};\n    location / {{\n        return 200 {mark};\n    }}\n}}\n"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A host with an nginx.conf, and the folders that lie around."""
    controller = Controller()
    for folder in ("etc/nginx/sites-enabled", "srv/hello", "var/log/nginx"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "etc/nginx/nginx.conf").write_text("include /etc/nginx/sites-enabled/*;\n")
    yield Host(controller.stream, root=str(tmp_path), args={"app": "hello"})
    controller.close()


@pytest.fixture
def site(host: Host) -> Site:
    """A site with a key, whose bytes have arrived."""
    text, key = Content.of(_text(1, NEW)), Content.of("a key")
    host.blobs.mkdir(parents=True)
    for each in (text, key):
        host.blob(each.need).write_text(each.text())
    return Site("hello", "/etc/nginx/sites-enabled", text, text, {"new.key": ("0600", key)}, NEW, (1,))


def gone(_: Host) -> None:
    """Tell a process that has just ended."""
    raise ProcessLookupError(3, "No such process")


def changed(host: Host, site: Site, port: int, patch: pytest.MonkeyPatch) -> Failure:
    """How a change fails whose nginx is gone at the reload, and is there again for the way back."""
    host.at(site.path).write_text(_text(port, OLD))
    patch.setattr(proof, "check", lambda *_: None)
    patch.setattr(change, "start_or_reload", gone)
    patch.setattr(back, "start_or_reload", lambda _: None)
    with pytest.raises(Failure) as caught:
        change.change(host, site)
    assert host.at(site.path).read_text() == _text(port, OLD)
    return caught.value


def test_nginx_that_goes_away_meanwhile(host: Host, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old site is put back, nginx is seen to serve it, and the key that nothing refers to goes."""
    with answering(OLD) as port:
        failure = changed(host, site, port, monkeypatch)
    assert not isinstance(failure, Stranded) and "No such process" in failure.details
    assert failure.hint.endswith("what nginx served before it serves again")
    assert list(host.at(site.home).iterdir()) == []


def test_nginx_that_does_not_come_back(host: Host, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """That nginx serves again what it did is not said where it does not."""
    monkeypatch.setattr(back, "BACK_SECONDS", 0)
    with answering("something else") as port:
        failure = changed(host, site, port, monkeypatch)
    assert isinstance(failure, Stranded) and "serves again" not in failure.hint


def test_a_refused_key_does_not_stay(host: Host, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that came for a configuration that is refused is removed; one that was there before stays."""

    def refuse(*_: Any) -> None:
        raise Failure("nginx refuses")

    monkeypatch.setattr(proof, "check", refuse)
    host.at(site.home).mkdir(parents=True)
    (host.at(site.home) / "old.key").touch()
    with pytest.raises(Failure, match="nginx refuses"):
        change.change(host, site)
    assert [path.name for path in host.at(site.home).iterdir()] == ["old.key"]


@pytest.mark.parametrize("before", ["the earlier page", None])
def test_maintenance_that_nginx_does_not_confirm(host: Host, before: str | None) -> None:
    """Where nginx does not say that it shows a page, the one of before stays, and none comes up by itself later."""
    page = host.at(place("hello"))
    if before:
        page.write_text(before)
    with answering("off") as port, pytest.raises(Failure, match="nginx does not stand before hello"):
        maintenance(host, {"app": "hello", "page": "the new page", "port": port})
    assert (page.read_text() if page.exists() else None) == before
