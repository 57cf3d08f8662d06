"""The access log: one JSON object a line, whatever a client sends, and no secret in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import carboy_access_log
import pytest
from hostile import SECRET, requests
from served import KINDS, RELEASE, Served

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


@pytest.fixture(scope="module", params=KINDS)
def stopped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Each server, stopped after one request of each kind: its logs are whole."""
    with Served(tmp_path_factory.mktemp(request.param) / "release", KINDS[request.param]) as server:
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


def logged(server: Served, tracking_id: str) -> dict[str, Any]:
    """Return the one entry with this tracking id."""
    [entry] = [entry for entry in server.entries() if entry["x_tracking_id"] == tracking_id]
    return entry


def well_formed(entry: dict[str, Any]) -> bool:
    """Tell whether an entry has exactly the fields, in order and of the right types."""
    return list(entry) == FIELDS and all(type(entry[name]) in types for name, types in TYPES.items())


def test_fields(stopped: Served) -> None:
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
        "release": RELEASE,
    }


def test_absent_headers_are_null(stopped: Served) -> None:
    """What a client does not send is null; what it sends empty is empty."""
    [bare] = [entry for entry in stopped.entries() if entry["request_method"] == "HEAD"]
    assert bare["x_tracking_id"] is None
    assert (bare["host"], bare["referer"], bare["user_agent"]) == (None, None, None)
    assert (bare["protocol"], bare["request_method"], bare["response_length"]) == ("HTTP/1.0", "HEAD", 0)
    assert logged(stopped, "twice,again")["user_agent"] == ""


def test_unix_peer_has_no_address(stopped: Served) -> None:
    """A peer on the unix socket has no address, and cannot give itself one by a header."""
    assert logged(stopped, "unix")["remote_addr"] is None


def test_text_is_kept(stopped: Served) -> None:
    """The path is logged as it was sent, escapes included; UTF-8 in a header is read as such."""
    entry = logged(stopped, "escaped")
    assert entry["request_path"] == "/caf%C3%A9%0a%22"
    assert entry["user_agent"] == "caf\u00e9 \u2028"


def test_length_of_a_file(stopped: Served) -> None:
    """A file that the kernel sends is logged with its length."""
    assert logged(stopped, "file")["response_length"] == (stopped.release / "tree/probe_app.py").stat().st_size


def test_failed_app_is_logged_once(stopped: Served) -> None:
    """A request on which the app fails is one line, status 500; the error log says why, in plain text."""
    assert logged(stopped, "boom")["status_code"] == logged(stopped, "late-boom")["status_code"] == 500
    assert "RuntimeError: the app failed late" in stopped.output() and "TypeError" not in stopped.output()


def test_query_strings_are_nowhere(stopped: Served) -> None:
    """No log holds a query string: not of a served request, a failed one, or one that is no HTTP."""
    logs = stopped.output() + (stopped.release / "access.log").read_text()
    assert "nvalid request from" in stopped.output()
    assert SECRET.decode() not in logs
    assert logged(stopped, "asked")["request_path"] == "/asked"


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_requests(tmp_path: Path, kind: str) -> None:
    """Whatever clients send, each call of the app is one line that parses, and nothing else is."""
    count = 1500 if "gevent" in kind else 400
    with Served(tmp_path / "release", KINDS[kind]) as server:
        for request in requests(seed=count, count=count):
            server.send(request)
        server.stop()
    entries = server.entries()
    answered = [entry for entry in entries if entry["status_code"] == 200]
    assert len(answered) == (server.release / "tree/calls").stat().st_size > count / 3
    assert all(well_formed(entry) for entry in entries)
    assert not any(entry["@timestamp"] == "FORGED" for entry in entries)
    assert SECRET not in (server.release / "access.log").read_bytes()
    assert "Traceback" not in server.output()


def test_all_servers_log_alike(tmp_path: Path) -> None:
    """The same hostile requests make the same lines, wherever two servers both have the app answer."""
    first, *others = [_numbered(tmp_path / kind, kind) for kind in KINDS]
    for other in others:
        both = first.keys() & other.keys()
        assert len(both) > 60
        assert [first[number] for number in both] == [other[number] for number in both]


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
    assert carboy_access_log.without_secrets(url) == kept


def test_long_values_are_cut_after_secrets() -> None:
    """A password too long to be shown whole is not shown in part."""
    referer = "https://user:" + "p" * carboy_access_log.LONGEST + "@a.example/"
    assert carboy_access_log.text(carboy_access_log.without_secrets(referer)) == "https://a.example/"
    assert (
        carboy_access_log.text("\xff" * carboy_access_log.LONGEST)
        == ("\\xff" * carboy_access_log.LONGEST)[: carboy_access_log.LONGEST]
    )


def _numbered(folder: Path, kind: str) -> dict[str, dict[str, Any]]:
    """The entries of a server by a number that each request ends with, without what time alone decides."""
    with Served(folder, KINDS[kind]) as server:
        for number, request in enumerate(requests(seed=7, count=300)):
            server.send(request.removesuffix(b"\r\n") + b"X-Tracking-Id: number %d\r\n\r\n" % number)
        server.stop()
    answered = [entry for entry in server.entries() if entry["status_code"] == 200]
    entries = {(entry["x_tracking_id"] or "").rpartition("number ")[2]: entry for entry in answered}
    return {number: entry | {"@timestamp": "", "request_time": 0} for number, entry in entries.items() if number}
