"""What roles refuse beyond the types of their settings, before any host is contacted."""

from __future__ import annotations

from typing import Any

import pytest

from carboy.declaration import declare
from carboy.errors import DeclarationError
from carboy.inventory import Host

ACCEPTED: dict[str, list[Any]] = {
    "app_listen": ["8000", "0.0.0.0:1", "127.0.0.1:65535", "[::1]:8000", "[::]:80", "/run/web/app.sock"],
    "app_health": ["/", "/health", "/a%20b?deep=1&x=~"],
    "app_environment": [{"A": "1", "_b2": ""}, {"GUNICORN": "x", "MY_CARBOY_X": "y"}],
    "app_cpus": [0.5, 1, 64],
    "app_stop_timeout": ["1s", "1h", 30],
    "systemd_writable": [[], ["/var/lib/app", "/srv/größe"]],
}
REFUSED: dict[str, list[Any]] = {
    "app_listen": [
        "",
        "0",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:",
        ":8000",
        "localhost:8001",
        "example.org:80",
        "::1:8000",
        "[::1:8000",
        "[127.0.0.1]:80",
        "[fe80::1%eth0]:80",
        "256.0.0.1:80",
        "127.1:80",
        "127.0.0.1:80\n",
        "127.0.0.1:٨٠",
        "/run/a b",
        "run/app.sock",
    ],
    "app_health": ["", "health", "/größe", "/a b", "/a\r\nX: y", "/\x7f"],
    "app_environment": [{"A B": "1"}, {"1A": "1"}, {"Ä": "1"}, {"CARBOY_RELEASE": "x"}, {"GUNICORN_CMD_ARGS": "-w 9"}],
    "app_cpus": ["half", 0, -1, 5000, "50%"],
    "app_domain": ["http://x", "a b", "größe.example", "-x.example", "x..y", "X.example", "x;y"],
    "app_stop_timeout": [0, "2h", "-1s"],
    "app_tasks_max": [0, 15],
    "app_open_files": [0, 15],
    "app_runtime": ["docker", "", None],
    "app_server": ["uwsgi", True],
    "app_proxy": ["apache", None],
    "systemd_writable": [["var/x"], ["/var/x y"], ["/var/x\nUser=root"], [""], ["/fine", "~/x"]],
}


def host(**variables: Any) -> Host:
    """A host on which all else is right."""
    return Host("prod1", {"app_wsgi": "app.wsgi:app", **variables}, {})


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in ACCEPTED.items() for value in values])
def test_accepted(name: str, value: Any) -> None:
    """What the host can do is not refused."""
    declare(host(**{name: value}))


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in REFUSED.items() for value in values])
def test_refused(name: str, value: Any) -> None:
    """What the host could not do is refused with the name of the setting."""
    with pytest.raises(DeclarationError, match=name) as caught:
        declare(host(**{name: value}))
    assert caught.value.exit_code == 3


def test_a_refusal_says_what_to_do() -> None:
    """The hint that a role gives stands in the error's own line for it."""
    with pytest.raises(DeclarationError) as caught:
        declare(host(app_listen="localhost:8001"))
    assert "127.0.0.1:8000" in caught.value.hint
