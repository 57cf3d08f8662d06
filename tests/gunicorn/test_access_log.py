"""The access log: one JSON object a line, whatever a client sends, and no secret in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import access_log
import pytest
from gunicorn_process import Gunicorn, write_release
from hostile import SECRET, requests

TYPES: dict[str, tuple[type, ...]] = {
    "@timestamp": (str,),
    "remote_addr": (str, type(None)),
    "protocol": (str,),
    "host": (str, type(None)),
    "request_method": (str,),
    "request_path": (str,),
    "status_code": (int,),
    "response_length": (int,),
    "referer": (str, type(None)),
    "user_agent": (str, type(None)),
    "x_tracking_id": (str, type(None)),
    "request_time": (float,),
    "release": (str, type(None)),
}
FIELDS = list(TYPES)
TRACKED = "X-Tracking-Id: "


@pytest.fixture(scope="module", params=["gevent", "gthread", "sync"])
def stopped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    """A gunicorn of each worker class, stopped after one request of each kind: its logs are whole."""
    release = write_release(tmp_path_factory.mktemp(request.param) / "release", worker_class=request.param)
    with Gunicorn(release) as server:
        server.get("/plain", TRACKED + "plain", "User-Agent: probe/1", "Referer: https://u:p@a.example/b?c=d#e")
        server.get(f"/asked?token={SECRET.decode()}", TRACKED + "asked")
        server.get("/unix", TRACKED + "unix", "X-Real-IP: 192.0.2.1", "X-Forwarded-For: 192.0.2.1", unix=True)
        server.get("/caf%C3%A9%0a%22", TRACKED + "escaped", "User-Agent: caf\u00e9 \u2028")
        server.get("/file", TRACKED + "file")
        server.get("/twice", TRACKED + "twice", TRACKED + "again", "User-Agent:")
        server.get(f"/boom?token={SECRET.decode()}", TRACKED + "boom")
        server.get("/late-boom", TRACKED + "late-boom")
        server.send(b"GET /bad?" + SECRET + b"\xff HTTP/1.1\r\nHost: probe\r\n\r\n")
        server.send(b"GET /bad? " + SECRET + b" HTTP/1.1\r\nHost: probe\r\n\r\n")
        server.send(b"HEAD /bare HTTP/1.0\r\n\r\n")
        server.stop()
        yield server


def logged(server: Gunicorn, tracking_id: str | None) -> dict[str, Any]:
    """Return the one entry with this tracking id."""
    [entry] = [entry for entry in server.entries() if entry["x_tracking_id"] == tracking_id]
    return entry


def well_formed(entry: dict[str, Any]) -> bool:
    """Tell whether an entry has exactly the fields, in order and of the right types."""
    return list(entry) == FIELDS and all(type(entry[name]) in types for name, types in TYPES.items())


def test_fields(stopped: Gunicorn) -> None:
    """A line has exactly the documented fields, in their order, with what the client sent."""
    entry = logged(stopped, "plain")
    assert well_formed(entry)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", entry.pop("@timestamp"))
    assert 0 <= entry.pop("request_time") < 20
    assert entry == {
        "remote_addr": "127.0.0.1",
        "protocol": "HTTP/1.1",
        "host": "probe",
        "request_method": "GET",
        "request_path": "/plain",
        "status_code": 200,
        "response_length": 2,
        "referer": "https://a.example/b",
        "user_agent": "probe/1",
        "x_tracking_id": "plain",
        "release": "20261122-0123abcd",
    }


def test_absent_headers_are_null(stopped: Gunicorn) -> None:
    """What a client does not send is null; what it sends empty is empty."""
    bare = logged(stopped, None)
    assert (bare["host"], bare["referer"], bare["user_agent"]) == (None, None, None)
    assert (bare["protocol"], bare["request_method"], bare["response_length"]) == ("HTTP/1.0", "HEAD", 0)
    assert logged(stopped, "twice,again")["user_agent"] == ""


def test_unix_peer_has_no_address(stopped: Gunicorn) -> None:
    """A peer on the unix socket has no address, and cannot give itself one by a header."""
    assert logged(stopped, "unix")["remote_addr"] is None


def test_text_is_kept(stopped: Gunicorn) -> None:
    """The path is logged as it was sent, escapes included; UTF-8 in a header is read as such."""
    entry = logged(stopped, "escaped")
    assert entry["request_path"] == "/caf%C3%A9%0a%22"
    assert entry["user_agent"] == "caf\u00e9 \u2028"


def test_length_of_a_file(stopped: Gunicorn) -> None:
    """A file that the kernel sends is logged with its length."""
    assert logged(stopped, "file")["response_length"] == (stopped.release / "probe_app.py").stat().st_size


def test_failed_app_is_logged_once(stopped: Gunicorn) -> None:
    """A request on which the app fails is one line, status 500; the error log says why, in plain text."""
    assert logged(stopped, "boom")["status_code"] == logged(stopped, "late-boom")["status_code"] == 500
    assert "RuntimeError: the app failed late" in stopped.output() and "TypeError" not in stopped.output()


def test_query_strings_are_nowhere(stopped: Gunicorn) -> None:
    """No log holds a query string: not of a served request, a failed one, or one that is no HTTP."""
    logs = stopped.output() + (stopped.release / "access.log").read_text()
    assert stopped.output().count("(withheld)") == 4
    assert SECRET.decode() not in logs
    assert logged(stopped, "asked")["request_path"] == "/asked"


@pytest.mark.parametrize(("worker_class", "count"), [("gevent", 3000), ("gthread", 400), ("sync", 400)])
def test_hostile_requests(tmp_path: Path, worker_class: str, count: int) -> None:
    """Whatever clients send, each call of the app is one line that parses, and nothing else is."""
    with Gunicorn(write_release(tmp_path / "release", worker_class=worker_class)) as server:
        for request in requests(seed=count, count=count):
            server.send(request)
        server.stop()
    entries = server.entries()
    answered = [entry for entry in entries if entry["status_code"] == 200]
    assert len(answered) == (server.release / "calls").stat().st_size > count / 3
    assert all(well_formed(entry) for entry in entries)
    assert not any(entry["@timestamp"] == "FORGED" for entry in entries)
    assert SECRET not in (server.release / "access.log").read_bytes()
    assert "Traceback" not in server.output()


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        (None, None),
        ("", ""),
        ("https://a.example/b", "https://a.example/b"),
        ("https://user:pass@a.example/b@c", "https://a.example/b@c"),
        ("https://a.example/b?mail=x@y", "https://a.example/b"),
        ("https://user:p@ss@a.example", "https://a.example"),
        ("user:pass@a.example/b", "a.example/b"),
        ("//user@a.example#x", "//a.example"),
        ("https:///user:pass@a.example", "https:///a.example"),
        ("http://[", "http://["),
    ],
)
def test_referer_without_secrets(url: str | None, kept: str | None) -> None:
    """A referer loses its query string, its fragment and its user, and never fails to."""
    assert access_log.without_secrets(url) == kept


def test_long_values_are_cut_after_secrets() -> None:
    """A password too long to be shown whole is not shown in part."""
    referer = "https://user:" + "p" * access_log.LONGEST + "@a.example/"
    assert access_log.text(access_log.without_secrets(referer)) == "https://a.example/"
    assert access_log.text("\xff" * access_log.LONGEST) == ("\\xff" * access_log.LONGEST)[: access_log.LONGEST]
