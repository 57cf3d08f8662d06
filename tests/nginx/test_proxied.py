"""The client as an app behind nginx sees it: believed of nginx, and of nobody else."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parents[2] / "templates/nginx/proxied.py"
spec = importlib.util.spec_from_file_location("carboy_proxied", SOURCE)
assert spec and spec.loader
proxied = importlib.util.module_from_spec(spec)
spec.loader.exec_module(proxied)


def seen(peer: str, *, over_tcp: bool = False, **headers: str) -> tuple[str, str]:
    """The address and the scheme that the app sees."""
    environ = {"REMOTE_ADDR": peer, "wsgi.url_scheme": "http", **headers}

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:  # noqa: ARG001 - WSGI's form
        return [f"{environ['REMOTE_ADDR']} {environ['wsgi.url_scheme']}".encode()]

    [answer] = proxied.Proxied(app, over_tcp=over_tcp)(environ, None)
    address, _, scheme = answer.decode().partition(" ")
    return address, scheme


def test_nginx_is_believed() -> None:
    """What nginx says over the unix socket is what the app sees."""
    said = {"HTTP_X_REAL_IP": "192.0.2.7", "HTTP_X_FORWARDED_PROTO": "https"}
    assert seen("", **said) == ("192.0.2.7", "https")
    assert seen("", HTTP_X_REAL_IP="2001:db8::7") == ("2001:db8::7", "http")


def test_a_client_is_not_believed() -> None:
    """A peer with an address has that address, whatever it says; unless the app is said to be behind a proxy there."""
    said = {"HTTP_X_REAL_IP": "192.0.2.7", "HTTP_X_FORWARDED_PROTO": "https"}
    assert seen("198.51.100.1", **said) == ("198.51.100.1", "http")
    assert seen("198.51.100.1", over_tcp=True, **said) == ("192.0.2.7", "https")


@pytest.mark.parametrize("said", ["", "unknown", "192.0.2.7, 192.0.2.8", "192.0.2.7\n", "::1%lo\x00"])
def test_no_address_is_none(said: str) -> None:
    """What is no address is not taken for one: a question of the host's own has none."""
    assert seen("", HTTP_X_REAL_IP=said, HTTP_X_FORWARDED_PROTO="https") == ("", "http")
