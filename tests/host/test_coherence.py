"""New code with old packages, or any other mixture of releases: whoever fakes one on a real host is caught."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from carboy.verify.target import script
from tests.host.conftest import Outcome, Site
from tests.host.test_interrupts import await_host, await_progress, start
from tests.support.load import load

APP = "/srv/hello"
PREFACE = f"""
R={APP}/releases/$(basename $(readlink {APP}/current)); U=hello@$(basename $R).service
U_FILE=/etc/systemd/system/$U; PID=$(systemctl show -p MainPID --value $U)
OTHER=$(ls -d {APP}/releases/* | head -n 1)
hup() {{ before=$(pgrep -d' ' -P $PID); kill -HUP $PID; for p in $before; do
    for i in $(seq 1500); do kill -0 $p 2>/dev/null || break; sleep 0.02; done; done; }}
again() {{ systemctl daemon-reload; systemctl kill -s KILL $U || true; systemctl reset-failed 'hello*' || true;
    systemctl restart $U; }}
"""


class Fake(NamedTuple):
    """What somebody does to a host whose second release serves, and a finding that must follow."""

    script: str
    words: str


FAKES = {
    "link to other packages": Fake("ln -sfn ../../venvs/other $R/venv; again", "/venv leads to /srv/hello/venvs/other"),
    "link there and back": Fake(
        "ln -sfn ../../venvs/other $R/venv; hup; ln -sfn $(cat /srv/kept/link) $R/venv",
        "has files of /srv/hello/venvs/other",
    ),
    "packages from elsewhere": Fake(
        "ln -sfn /opt/other $R/venv; hup; ln -sfn $(cat /srv/kept/link) $R/venv", "has files of /opt/other"
    ),
    "other interpreter": Fake(
        f'sed -i "s,ExecStart={APP}/releases/%i/,ExecStart=$OTHER/," $U_FILE; again',
        "/venv/bin/python, not as /srv/hello/releases/",
    ),
    "other folder": Fake(
        f'sed -i "s,Directory={APP}/releases/%i/,Directory=$OTHER/," $U_FILE; again', "works in /srv/hello/releases/"
    ),
    "other id": Fake('sed -i "s,CARBOY_RELEASE=%i,CARBOY_RELEASE=x," $U_FILE; again', "carries the release id x"),
    "no id": Fake('sed -i "/CARBOY_RELEASE=/d" $U_FILE; again', "carries the release id None"),
    "folder replaced": Fake("mv $R $R.old; cp -a $R.old $R; rm -r $R.old", "/tree (deleted)"),
    "folder moved away": Fake("mv $R /opt/moved; cp -a /opt/moved $R", "works in /opt/moved/tree"),
    "packages replaced": Fake(
        "V=$(readlink -f $R/venv); cp -a $V $V.new; rm -r $V; mv $V.new $V", "has files of /srv/hello/venvs/"
    ),
    "worker elsewhere": Fake(
        "for c in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do"
        " P=$c$(systemctl show -p ControlGroup --value ssh.service)/cgroup.procs;"
        " if test -e $P; then pgrep -P $PID | head -n 1 >$P; fi; done",
        "/ssh.service",
    ),
    "nothing runs": Fake("systemctl stop hello.socket $U", "is inactive, main process 0"),
}
# What an app may do: leave its folder, run other programs, some with an environment or packages of their own.
BUSY = """
import os, subprocess, sys
os.chdir("/srv/hello/shared")
subprocess.Popen(["sh", "-c", "sleep 6000 & wait"], cwd="/tmp", env={})
subprocess.Popen(["/opt/other/bin/python", "-c", "import greenlet, time; time.sleep(6000)"], env={})
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(6000)"], cwd="/")
app = create_app()
"""


def findings(site: Site) -> list[str]:
    """What the host says of the release that `current` points to."""
    release = site.shell(f"basename $(readlink {APP}/current)").strip()
    question = ("coherence.findings", APP, release, f"hello@{release}.service")
    found: list[str] = json.loads(site.host.container.exec("python3", "-I", "-c", script(), *question))
    return found


def checked(outcome: Outcome) -> str:
    """What the check of processes says."""
    [check] = [check for check in outcome.of("check") if check["check"] == "processes"]
    return str(check["message"])


@pytest.fixture(scope="module")
def two(fresh: Site) -> Site:
    """A host with two releases of an app that imports its packages in its workers, and with other venvs."""
    fresh.variables.update(gunicorn_preload=False)
    fresh.invoke("deploy")
    fresh.edit("app/wsgi.py", "app = create_app()", "app = create_app()\n")
    fresh.invoke("deploy")
    fresh.shell(
        f"{PREFACE} for to in {APP}/venvs/other /opt/other; do cp -a $(readlink -f $R/venv) $to; done;"
        " mkdir /srv/kept; readlink $R/venv >/srv/kept/link; cp -a $U_FILE /srv/kept/unit"
    )
    return fresh


@pytest.fixture
def mended(two: Site) -> Iterator[Site]:
    """The host, sound before a test and put right after it."""
    assert findings(two) == []
    yield two
    two.shell(
        f"{PREFACE} rm -rf /opt/moved; ln -sfn $(cat /srv/kept/link) $R/venv; cp -a /srv/kept/unit $U_FILE; again"
    )


@pytest.mark.parametrize("how", FAKES)
def test_a_fake_is_caught(mended: Site, how: str) -> None:
    """Whatever part is of another release, or no longer there, is named; a sound host has no finding."""
    mended.shell(PREFACE + FAKES[how].script)
    found = findings(mended)
    assert [said for said in found if FAKES[how].words in said], found


def test_verify_and_plan_see_other_packages(two: Site) -> None:
    """A release whose `venv` leads to other packages fails verify, is drift, and the next deploy replaces it."""
    before = two.serving()
    two.shell(PREFACE + FAKES["link to other packages"].script)
    assert FAKES["link to other packages"].words in checked(two.invoke("verify", expect=1))
    two.invoke("plan", expect=2)
    two.invoke("deploy")
    assert two.serving() != before and findings(two) == []
    assert checked(two.invoke("verify", expect=None)) == ""


def test_what_an_app_may_do_is_no_finding(two: Site) -> None:
    """Other programs, other folders and titles of processes are no findings; behind a title a fake is caught still."""
    two.edit("app/wsgi.py", "app = create_app()\n", BUSY)
    two.edit("app/requirements.txt", "flask", "setproctitle==1.3.8\nflask")
    two.invoke("deploy")
    assert "gunicorn: master" in two.shell(f"{PREFACE} tr '\\0' ' ' </proc/$PID/cmdline")
    assert int(two.shell(f"{PREFACE} systemctl show -p TasksCurrent --value $U")) >= 3 + 2 * 4
    assert findings(two) == []
    for how in ("other interpreter", "no id"):
        two.shell(f"{PREFACE} cp -a $U_FILE /srv/kept/unit; {FAKES[how].script}")
        assert [said for said in findings(two) if FAKES[how].words in said]
        two.shell(f"{PREFACE} cp -a /srv/kept/unit $U_FILE; again")


def test_no_finding_while_workers_come_and_go(two: Site) -> None:
    """Processes that end or begin while they are looked at are no findings."""
    two.variables.update(gunicorn_max_requests=3)
    two.invoke("deploy")
    with load(two.port, clients=4):
        for _ in range(8):
            assert findings(two) == []


def test_a_mixture_does_not_get_to_serve(two: Site) -> None:
    """Packages that are swapped after the release was built stop the cutover: the old release serves on."""
    before = two.serving()
    two.edit("app/wsgi.py", "app = create_app()\n", "app = create_app()\n\n")
    deploy = start(two)
    await_progress(deploy, "on a private socket")
    swap = f"ln -sfn ../../venvs/other $(ls -d {APP}/releases/* | tail -n 1)/venv"
    await_host(two, f"systemctl -q is-active 'hello-candidate@*.service' && {swap}")
    with load(two.port) as result:
        said = deploy.communicate()[0]
    assert deploy.returncode == 1
    assert "/venv leads to /srv/hello/venvs/other" in said
    assert result.failures == [] and two.serving() == before
    two.invoke("deploy")
    assert two.serving() != before and findings(two) == []
