"""Ctrl-C, a killed controller, a killed applier, at any moment: nothing half done, and the next deploy converges."""

from __future__ import annotations

import json
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from carboy.sandbox import SandboxError
from tests.host.conftest import ROOT, Site
from tests.support.load import load

Deploy = subprocess.Popen[str]
APPLIER = "[i]mport sys,zlib"
BUILDING, JOINING = "building release", "joins the public socket"


def start(site: Site, *arguments: str) -> Deploy:
    """Begin a deploy whose stdout can be read, and which heeds SIGINT even where the test run itself ignores it."""
    return subprocess.Popen(
        site.command("deploy", *arguments),
        cwd=ROOT,
        env=site.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def await_progress(deploy: Deploy, text: str) -> None:
    """Return as soon as the deploy says a text."""
    assert deploy.stdout
    assert any(text in json.loads(line).get("text", "") for line in deploy.stdout), f"never said {text!r}"


def interrupted(deploy: Deploy) -> str:
    """Press Ctrl-C: the deploy must end soon, with 130 and without a traceback; returns what it said on stderr."""
    deploy.send_signal(signal.SIGINT)
    began = time.monotonic()
    said = deploy.communicate(timeout=20)[1]
    assert time.monotonic() - began < 3
    assert deploy.returncode == 130, said
    assert "Traceback" not in said and "Exception" not in said
    return said


def changed(site: Site) -> None:
    """Change the app, so that a deploy has something to do."""
    site.edit("app/wsgi.py", "app = create_app()", "app = create_app()\n")


def await_host(site: Site, condition: str) -> None:
    """Wait until a command on the host succeeds, half a minute at most."""
    site.shell(f"for i in $(seq 1500); do if {condition} >/dev/null 2>&1; then exit 0; fi; sleep 0.02; done; exit 1")


def at_rest(site: Site) -> None:
    """Wait until no applier runs on the host."""
    await_host(site, f"! pgrep -f '{APPLIER}'")


@pytest.fixture
def changing(deployed: Site) -> Iterator[Site]:
    """A host under load with a change to deploy: no request may fail, and at the end one release serves."""
    changed(deployed)
    with load(deployed.port, clients=4) as result:
        yield deployed
    assert result.failures == []
    assert len(deployed.serving()) == 1


def converges(site: Site, *, changed: bool) -> None:
    """The next deploy, begun when the host is at rest, must go well, and find something to do or nothing."""
    at_rest(site)
    assert bool(site.invoke("deploy").changed) is changed


def test_ctrl_c_while_connecting(deployed: Site) -> None:
    """Ctrl-C while a host does not answer ends the command at once."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        deploy = start(deployed, "-e", f"ansible_port={server.getsockname()[1]}")
        server.accept()
        interrupted(deploy)


def test_ctrl_c_while_bytes_are_sent(changing: Site) -> None:
    """Ctrl-C before everything has arrived leaves the host as it was, the lock free, and nothing running."""
    before = changing.shell("ls /srv/hello/releases")
    big = changing.app / "app/big"
    big.write_bytes(random.randbytes(80 << 20))
    deploy = start(changing)
    await_host(changing, "ls /var/lib/carboy/blobs/hello/*.part")
    interrupted(deploy)
    at_rest(changing)
    assert changing.shell("ls /srv/hello/releases") == before
    big.unlink()
    converges(changing, changed=True)


@pytest.mark.parametrize("moment", [BUILDING, JOINING])
def test_ctrl_c_while_the_host_works(changing: Site, moment: str) -> None:
    """Ctrl-C once the host works leaves it to finish alone: the new release serves, and a deploy finds it so."""
    before = changing.serving()
    deploy = start(changing)
    await_progress(deploy, moment)
    assert "finishes alone" in interrupted(deploy)
    converges(changing, changed=False)
    assert changing.serving() != before


def test_killed_controller(changing: Site) -> None:
    """A controller that dies is not missed, and the run's events are kept on the host."""
    before = changing.serving()
    deploy = start(changing)
    await_progress(deploy, "on a private socket")
    deploy.kill()
    deploy.communicate()
    converges(changing, changed=False)
    assert changing.serving() != before
    last = changing.shell("tail -n 1 $(ls -t /var/lib/carboy/runs/*.ndjson | head -n 1)")
    assert json.loads(last)["event"] == "end" and json.loads(last)["exit"] == 0


@pytest.mark.parametrize("delay", [0.0, 0.3, 0.7, 1.2])
def test_killed_applier(changing: Site, delay: float) -> None:
    """kill -9 of everything Carboy runs on the host, anywhere between the build and the end of the switch."""
    deploy = start(changing)
    await_progress(deploy, BUILDING)
    time.sleep(delay)
    with suppress(SandboxError):  # it may have ended already
        changing.host.container.exec("pkill", "-9", "-f", APPLIER)
    deploy.communicate()
    assert deploy.returncode in (0, 4)
    converges(changing, changed=deploy.returncode == 4)


def test_killed_while_packages_are_installed(changing: Site) -> None:
    """A venv that was never marked complete does not count: the next deploy builds it anew."""
    changing.edit("app/requirements.txt", "flask", "itsdangerous==2.2.0\nflask")
    deploy = start(changing)
    await_progress(deploy, "building the venv")
    await_host(changing, "pgrep -x uv")
    changing.host.container.exec("pkill", "-9", "-f", APPLIER)
    deploy.communicate()
    assert deploy.returncode == 4
    converges(changing, changed=True)
