"""A host without systemd, where cron looks after the app: the same verbs, and the same promises."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from carboy.sandbox import HostOptions
from tests.host.conftest import Site, site
from tests.support.load import load

OPTIONS = HostOptions(variant="cron", publish_http=True)
FAILING = json.dumps({"release_after_cutover": ["echo no good; exit 3"]})


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A host without systemd, on which users may have no crontab of their own, with the app deployed."""
    with site(tmp_path_factory.mktemp("site"), OPTIONS) as made:
        made.variables |= {"app_runtime": "cron", "release_watch": "200ms", "cron_health_timeout": "3s"}
        made.shell(": >/etc/cron.allow")
        made.invoke("deploy")
        yield made


@pytest.fixture(scope="module")
def verified(box: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """A second host whose checks, with all that they wait for cron, go on while the other tests are made."""
    with site(tmp_path_factory.mktemp("second"), OPTIONS) as second:
        second.variables |= box.variables | {"carboy_allow_kill": True, "carboy_allow_reboot": True}
        container = second.host.container
        restart = f"{container.engine.name} restart {container.name}"
        second.variables["carboy_reboot_command"] = restart
        second.invoke("deploy")
        command, pipe = second.command("verify"), subprocess.PIPE
        with subprocess.Popen(command, cwd=Path(__file__).parents[2], env=second.env, stdout=pipe, text=True) as checks:
            yield checks
            checks.kill()


def serving(box: Site) -> str:
    """The release that the control script finds well."""
    said = box.shell("/srv/hello/control status")
    assert said.startswith("hello serves: main process"), said
    return said.split(" of ")[1].split(",")[0]


@pytest.mark.usefixtures("verified")
def test_deployed_again(box: Site) -> None:
    """A second deploy finds nothing to do."""
    done = box.invoke("deploy")
    assert not done.changed and {each["status"] for each in done.of("resource")} == {"ok"}


def test_update_under_load(box: Site) -> None:
    """An update and a rollback, with a receipt each, refuse no request."""
    before = serving(box)
    box.edit("app/factory.py", "Tell a probe", "Tell another probe")
    with load(box.port, clients=8) as result:
        deployed = box.invoke("deploy", "--receipt")
        after = serving(box)
        box.invoke("rollback", "--receipt")
    assert not result.failures and result.requests
    assert set(result.releases) == {before, after} and serving(box) == before != after
    [receipt] = deployed.of("receipt")
    assert receipt["requests"] and not receipt["failed"]


def test_broken_release(box: Site) -> None:
    """A release that does not start never meets the public; the error names the cause, and the old one is untouched."""
    before, running = serving(box), box.shell("cat /run/carboy/hello/*.pid")
    box.edit("app/wsgi.py", "from app.factory", "import not_there\nfrom app.factory")
    with load(box.port, clients=4) as result:
        done = box.invoke("deploy", expect=1)
    box.edit("app/wsgi.py", "import not_there\nfrom app.factory", "from app.factory")
    [failed] = done.of("failed")
    assert "the module not_there is not installed" in failed["what"]
    assert not result.failures and serving(box) == before
    assert box.shell("cat /run/carboy/hello/*.pid") == running


def test_low_limit(box: Site) -> None:
    """A limit that the host does not allow is named with both numbers, and the old release serves on."""
    before = serving(box)
    [failed] = box.invoke("deploy", "-e", "app_open_files=1000000", expect=1).of("failed")
    assert "app_open_files is 1000000, but this host allows" in failed["what"]
    assert serving(box) == before


def test_moved_and_taken(box: Site) -> None:
    """Another address is opened beside the old one; one that a stranger has is refused before anything ends."""
    box.invoke("deploy", "-e", "app_listen=/run/hello.sock")
    assert box.shell("stat -c '%U %G %a' /run/hello.sock") == "root hello 660"
    with_stranger = "python3 -m http.server 8001 >/dev/null 2>&1 & until ss -Htln | grep -q :8001; do sleep 0.1; done"
    box.shell(with_stranger)
    [failed] = box.invoke("deploy", "-e", "app_listen=0.0.0.0:8001", expect=1).of("failed")
    assert "another program listens there" in failed["what"]
    box.invoke("deploy")
    assert "No such file" in box.shell("ls /run/hello.sock 2>&1 || true")


def test_hooks(box: Site) -> None:
    """Commands around the cutover run as the app itself does; one that fails leaves the old release serving."""
    before = serving(box)
    hook = json.dumps({"release_before_cutover": ["id -un; pwd; which python"]})
    [said] = [each["said"].split() for each in box.invoke("deploy", "-e", hook).of("hook")]
    folder = f"/srv/hello/releases/{serving(box)}"
    assert said == ["hello", f"{folder}/tree", f"{folder}/venv/bin/python"]
    with load(box.port, "/health", clients=4) as result:
        [failed] = box.invoke("deploy", "-e", FAILING, expect=1).of("failed")
    # The old release had ended by then: it is back before the new one lets go of the socket.
    assert not result.failures and result.requests
    assert failed["what"] == "after_cutover failed (exit status 3)" and "no good" in failed["details"]
    box.invoke("deploy")
    assert serving(box) == before


@pytest.mark.parametrize("said", ["joins the public socket", "running before_cutover"])
def test_killed_run(box: Site, said: str) -> None:
    """A run that is killed refuses nobody anything, and the next deploy brings the host to one release."""
    hook = json.dumps({"release_before_cutover": [f"sleep 1; : {said}"]})
    with load(box.port, "/health", clients=4) as result:
        with subprocess.Popen(
            box.command("deploy", "-e", hook), cwd=Path(__file__).parents[2], env=box.env, stdout=subprocess.PIPE
        ) as run:
            assert run.stdout
            next(line for line in run.stdout if said.encode() in line)
            box.shell("pkill -9 -f '[i]mport sys,zlib'")
        done = box.invoke("deploy", "-e", hook)
        assert done.events
    assert not result.failures
    assert box.shell("ls /run/carboy/hello/*.pid") == f"/run/carboy/hello/{serving(box)}.pid"
    assert not box.invoke("deploy", "-e", hook).changed


def test_stopped_and_deployed(box: Site) -> None:
    """What was stopped by hand stays so if a deploy fails; it is drift, which a deploy mends, as under systemd."""
    box.shell("/srv/hello/control stop")
    box.invoke("plan", expect=2)
    box.invoke("deploy", "-e", FAILING, expect=1)
    assert "hello was stopped" in box.shell("/srv/hello/control status || [ $? = 3 ]")
    box.invoke("deploy")
    assert serving(box)


def test_status_history_logs(box: Site) -> None:
    """The verbs that look say the same as under systemd."""
    status = box.invoke("status")
    [serves], [app] = status.of("serving"), status.of("status")
    assert (serves["release"], serves["chosen"], app["socket"]) == (serving(box), True, "active")
    assert serves["health"].startswith("200 ") and abs(serves["since"] - time.time()) < 600
    assert [each["outcome"] for each in box.invoke("history").of("switch")].count("healthy") >= 3
    assert box.invoke("logs", "--access").of("log")


def test_crontab_permission(box: Site) -> None:
    """A crontab that others may write to is one that cron ignores: plan sees it, deploy mends it."""
    box.shell("chmod 0666 /etc/cron.d/hello")
    box.invoke("deploy", "--check", expect=2)
    assert box.invoke("deploy").changed == ["file /etc/cron.d/hello"]


def test_cron_does_not_run(box: Site) -> None:
    """Without cron nobody looks after the app: that is drift, and a deploy starts it, or says that it cannot."""
    box.shell("mv /usr/sbin/cron /usr/sbin/away; while pkill -x cron; do sleep 0.1; done")
    [failed] = box.invoke("deploy", expect=1).of("failed")
    assert failed["what"] == "cron does not start" and "service cron start" in failed["details"]
    box.shell("mv /usr/sbin/away /usr/sbin/cron")
    assert box.invoke("deploy").changed == ["cron"]
    box.shell("pgrep -x cron")


def test_verified(verified: subprocess.Popen[str]) -> None:
    """invoke verify finds all well: killed and back, hanging and back, stopped and kept so, rebooted and back."""
    said, _ = verified.communicate()
    checks = [event for event in map(json.loads, said.splitlines()) if event["event"] == "check"]
    bad = [each for each in checks if each["outcome"] != "ok"]
    assert not bad and verified.returncode == 0, bad
    names = {each["check"] for each in checks}
    assert {"killed_main_process", "killed_with_its_keeper", "hanging", "stopped_by_hand", "reboot", "crontab"} <= names
    print([(each["check"], each["facts"]) for each in checks if each["facts"]])
