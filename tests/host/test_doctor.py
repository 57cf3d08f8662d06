"""What `invoke doctor` finds on a real host: on the way to it, on it, and in the app."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.host.conftest import ROOT, Site

Findings = dict[str, dict[str, Any]]


def doctor(site: Site, *extra: str, expect: int = 0) -> Findings:
    """The findings by subject; of several the gravest."""
    outcome = site.invoke("doctor", *(word for pair in extra for word in ("-e", pair)), expect=expect)
    assert outcome.stderr == ""
    ranked = sorted(outcome.of("finding"), key=lambda event: ["ok", "warning", "failed"].index(event["state"]))
    assert all(event["hint"] for event in ranked if event["state"] != "ok")
    return {event["subject"]: event for event in ranked}


@contextmanager
def during(site: Site, begin: str, end: str) -> Iterator[None]:
    """Have something be so on the host for the length of a block."""
    site.shell(begin)
    try:
        yield
    finally:
        site.shell(end)


def test_a_fresh_host(fresh: Site) -> None:
    """Where all is well each step is named with what was found, and the exit code is 0; it costs one login."""
    before = fresh.shell("journalctl -o cat -t sshd | grep -c 'Accepted publickey' || true")
    found = doctor(fresh)
    assert {event["state"] for event in found.values()} == {"ok"}
    assert list(found) == [
        *("inventory", "declaration", "ssh config", "name", "connection", "host key", "login", "root", "python"),
        *("system", "locale", "clock", "disk", "packages", "runtime", "lock", "app", "address"),
    ]
    assert fresh.host.key_file.name in found["login"]["text"]
    assert "known_hosts:1" in found["host key"]["text"]
    assert found["root"]["text"] == "root by sudo of deploy"
    assert "systemd 252" in found["runtime"]["text"]
    assert found["app"]["text"] == "not deployed yet"
    after = fresh.shell("journalctl -o cat -t sshd | grep -c 'Accepted publickey' || true")
    assert int(after) == int(before) + 1


def test_the_page(fresh: Site) -> None:
    """For people it is a page on stdout, of lines that begin with the host and how each thing is."""
    command = [word for word in fresh.command("doctor") if word != "--json"]
    done = subprocess.run(command, cwd=ROOT, env=fresh.env, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert 15 < len(lines) < 40
    assert all(line.startswith("box  ok ") for line in lines)


def test_a_wrong_declaration(fresh: Site) -> None:
    """What is declared wrong is a finding, and the rest is looked at all the same."""
    found = doctor(fresh, "gunicorn_worker=2", expect=1)
    assert "gunicorn_worker" in found["declaration"]["text"]
    assert found["python"]["state"] == "ok"


@pytest.mark.parametrize(
    ("extra", "subject"),
    [
        ("ansible_host=no-such.invalid", "name"),
        ("ansible_port=1", "connection"),
        ("ansible_user=nobody-here", "login"),
        ("ansible_python_interpreter=/bin/false", "python"),
    ],
)
def test_a_way_that_ends(fresh: Site, extra: str, subject: str) -> None:
    """Everything up to the step that fails is told, then that step; the exit code is 4."""
    found = doctor(fresh, extra, expect=4)
    assert [name for name, event in found.items() if event["state"] == "failed"] == [subject]
    assert list(found)[-1] == subject


def test_an_unknown_host_key(fresh: Site) -> None:
    """Nothing is sent to a host that nobody knows, and how to pin its key is said."""
    (fresh.folder / ".ssh/known_hosts").unlink()
    found = doctor(fresh, expect=4)
    fresh.trust()
    assert "invoke trust --host box" in found["host key"]["hint"] and "login" not in found


def test_no_root(fresh: Site) -> None:
    """A user who may not become root is told so, after all that works."""
    with during(fresh, "mv /etc/sudoers.d/90-deploy /root/", "mv /root/90-deploy /etc/sudoers.d/"):
        found = doctor(fresh, expect=4)
    assert found["login"]["state"] == "ok"
    assert "NOPASSWD" in found["root"]["hint"]


def test_a_host_at_its_limits(fresh: Site) -> None:
    """A taken port, a held package database and a failed unit are told apart by how much they matter."""
    begin = (
        "systemd-run -q --unit squatter python3 -m http.server 8099; systemd-run -q --unit broken false || true;"
        "systemd-run -q --unit holder python3 -c 'import fcntl,time;"
        'f=open("/var/lib/dpkg/lock-frontend","w");fcntl.lockf(f,fcntl.LOCK_EX);time.sleep(99)\';'
        "until ss -ltn | grep -q :8099; do sleep 0.1; done"
    )
    with during(fresh, begin, "systemctl stop squatter holder; systemctl reset-failed"):
        found = doctor(fresh, "app_listen=0.0.0.0:8099", expect=1)
    assert found["address"]["state"] == "failed" and "python3" in found["address"]["text"]
    assert found["packages"]["state"] == "warning" and "python3" in found["packages"]["text"]
    assert found["runtime"]["state"] == "warning" and "broken.service" in found["runtime"]["text"]


def test_other_ways_to_run(fresh: Site) -> None:
    """What a declared runtime needs is looked for; where the host lacks it, that is a failure."""
    assert "cron runs" in doctor(fresh, "app_runtime=cron")["runtime"]["text"]
    found = doctor(fresh, "app_runtime=compose", expect=1)
    assert "the host has no docker" in found["runtime"]["text"]
    assert "a deploy installs it" in doctor(fresh, "app_proxy=nginx", "app_listen=/run/hello.sock")["nginx"]["text"]


def test_a_deployed_app(deployed: Site) -> None:
    """What serves is named with its health; a run that holds the app, and an app that fell over, show."""
    release = deployed.serving()[0]
    found = doctor(deployed)
    assert found["app"]["text"].startswith(f"{release} serves, health 200")
    assert found["address"]["text"] == "port 8000 is the app's"
    hold = (
        "systemd-run -q --unit held flock /run/carboy/hello.lock sleep 99; until grep -q FLOCK /proc/locks; do :; done"
    )
    with during(deployed, hold, "systemctl stop held"):
        assert "held by" in doctor(deployed)["lock"]["text"]
    squat = (
        "systemd-run -q --unit squatter python3 -m http.server 8099; until ss -ltn | grep -q :8099; do sleep 0.1; done"
    )
    with during(deployed, squat, "systemctl stop squatter"):
        taken = doctor(deployed, "app_listen=0.0.0.0:8099", expect=1)["address"]
    assert taken["text"].startswith("port 8099 is taken by python3"), "the app's own port is another one"
    with during(deployed, "systemctl stop hello.socket 'hello@*'", "systemctl start hello.socket"):
        found = doctor(deployed, expect=1)
    assert "is chosen and does not run" in found["app"]["text"]


def test_a_silent_port(fresh: Site) -> None:
    """A port that takes connections and says nothing ends within the time that the inventory gives."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        found = doctor(fresh, f"ansible_port={silent.getsockname()[1]}", "ansible_timeout=1", expect=4)
    assert time.monotonic() - began < 10
    assert "no answer within 1 s" in found["connection"]["text"]
