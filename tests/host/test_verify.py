"""`invoke verify` on a real host: it passes on a fresh deploy, and names whatever somebody broke since."""

from __future__ import annotations

from typing import NamedTuple
from xml.etree import ElementTree

import pytest

from tests.host.conftest import Outcome, Site

SECRET = "a secret that nobody may see"
UNIT = "hello@$(basename $(readlink /srv/hello/current)).service"
FOLDER, VENV, LOGS = "/srv/hello/current", "/srv/hello/current/venv", "/var/log/hello"
DROP_IN = "/run/systemd/system/hello@.service.d"


class Break(NamedTuple):
    """What somebody does to a host, the checks that must fail then, and words that one of their findings must have."""

    script: str
    checks: set[str]
    words: str


BREAKS = {
    "environment file opened": Break(
        f"chmod 0644 {FOLDER}/environment", {"environment_files"}, "/environment\nnext: chmod 0600"
    ),
    "socket disabled": Break(
        "systemctl --quiet disable hello.socket",
        {"socket_unit"},
        "hello.socket: UnitFileState is disabled, wanted enabled\nnext: invoke deploy --host box",
    ),
    "unit edited": Break(
        f"echo 'Nice=5' >>/etc/systemd/system/{UNIT}; systemctl daemon-reload",
        {"units_are_as_released", "unit_files_are_clean"},
        "unit files that somebody changed in /etc/systemd/system: hello@",
    ),
    "drop-in that weakens the unit": Break(
        f"mkdir -p {DROP_IN}; cd {DROP_IN}; printf '%s\\n' [Service] Restart=always SystemCallFilter="
        f" Environment=TOKEN=1 Environment=CARBOY_RELEASE=another >by-hand.conf; systemctl daemon-reload;"
        f" systemctl restart {UNIT}",
        {"effective_settings", "unit_environment", "exposure", "processes", "release_over_http"},
        f"Restart is always, wanted on-failure; DropInPaths is {DROP_IN}/by-hand.conf",
    ),
    "secret in the history": Break(
        f"echo 'TOKEN={SECRET}' >>/srv/hello/history.jsonl", {"secret_values"}, "secrets that everybody can read: TOKEN"
    ),
    "package removed": Break(
        f"mv {VENV}/lib/python3*/site-packages/[fF]lask-*.dist-info /root", {"requirements"}, "flask==3.1.3 (absent)"
    ),
    "code edited": Break(
        f"echo '# quick fix' >>{FOLDER}/tree/app/wsgi.py", {"files_are_as_released", "bytecode"}, "/tree: app/wsgi.py"
    ),
    "venv given to the app": Break(
        f"chown hello {VENV}/bin", {"only_root_may_change_releases"}, "others than root can change: /srv/hello/venvs/"
    ),
    "rotation switched off": Break(
        "systemctl --quiet disable --now logrotate.timer",
        {"rotation_is_scheduled"},
        "logrotate.timer: enabled is False, wanted True; active is False",
    ),
    "rotation without signal": Break(
        "sed -i '/systemctl kill/d' /etc/logrotate.d/hello",
        {"rotation", "open_files"},
        f"after the rotation these requests left no line in {LOGS}/access.log: carboy-verify-",
    ),
    "log opened": Break(
        f"chmod 0644 {LOGS}/error.log",
        {"modes", "world_readable"},
        "error.log is hello:hello 644, wanted hello:hello 640",
    ),
    "login for the service": Break(
        "usermod --shell /bin/sh hello", {"user"}, "user hello: shell is /bin/sh, wanted /usr/sbin/nologin"
    ),
}


@pytest.fixture(scope="module")
def sound(fresh: Site) -> Site:
    """A host with the app deployed, and a secret among its environment."""
    secrets = fresh.folder / "secrets.yml"
    secrets.write_text(f"TOKEN: {SECRET}\n")
    fresh.variables.update(app_secrets_file=str(secrets))
    fresh.invoke("deploy")
    return fresh


def named(outcome: Outcome, result: str) -> dict[str, str]:
    """What checks with this result said, by the check's name."""
    return {check["check"]: check["message"] for check in outcome.of("check") if check["outcome"] == result}


def test_a_fresh_deploy_passes_and_looking_changes_nothing(sound: Site) -> None:
    """Nothing fails right after a deploy; without leave to kill, no process is touched, and only logs are written."""
    listing = f"systemctl show -p MainPID,NRestarts {UNIT}; find /srv /etc -newer /root/before"
    sound.shell("touch /root/before")
    before = sound.shell(listing)
    outcome = sound.invoke("verify")
    assert named(outcome, "failed") == {}
    assert set(named(outcome, "skipped").values()) == {
        "ask with --kill, or set carboy_allow_kill: true",
        "the inventory does not say carboy_allow_reboot: true",
    }
    assert sound.shell(listing) == before
    assert SECRET not in outcome.stdout + outcome.stderr + sound.shell("journalctl -o cat")


def test_kills_and_a_reboot_are_survived(sound: Site) -> None:
    """Where the inventory allows it processes die and the host reboots, and the times that it took are reported."""
    reboot = f"{sound.host.container.engine.name} restart {sound.host.container.name}"
    allowed = ["carboy_allow_kill=true", "carboy_allow_reboot=true", f"carboy_reboot_command={reboot}"]
    outcome = sound.invoke("verify", *(word for each in allowed for word in ("-e", each)))
    assert named(outcome, "skipped") == {}
    figures = {name for check in outcome.of("check") for name in check["facts"]}
    assert figures == {"back after", "replaced after", "first answer after", "kills", "serves after", "requests"}


def test_a_service_that_stays_down_is_found(sound: Site) -> None:
    """With Restart=no a kill -9 is the end, which verify says; it helps the service up again all the same."""
    drop_in = f"mkdir -p {DROP_IN}; printf '[Service]\\nRestart=no\\n' >{DROP_IN}/no.conf; systemctl daemon-reload"
    sound.shell(drop_in)
    outcome = sound.invoke("verify", "--kill", expect=1)
    sound.shell(f"rm -r {DROP_IN}; systemctl daemon-reload; systemctl is-active hello.socket {UNIT}")
    assert set(named(outcome, "failed")) == {"effective_settings", "killed_main_process", "crash_loop"}
    assert "not back: failed (failed), result signal" in named(outcome, "failed")["killed_main_process"]


def test_an_app_that_is_down_is_found(sound: Site) -> None:
    """Verify does not start what is down; it says so without waiting, and each finding is in plain words."""
    sound.shell(f"systemctl stop hello.socket {UNIT}")
    findings = named(sound.invoke("verify", expect=1), "failed")
    sound.shell(f"systemctl start hello.socket {UNIT}")
    assert {"one_release_serves", "socket_unit", "service_unit", "listening", "health", "processes"} <= set(findings)
    assert findings["health"].startswith("/health answers nothing: [Errno 111] Connection refused\n")
    assert findings["listening"] == "nothing listens on 0.0.0.0:8000\nnext: systemctl start hello.socket"
    assert not [words for words in findings.values() if "Error:" in words]


def test_another_current_is_found(sound: Site) -> None:
    """Where `current` points to a release that does not serve, verify says which one does."""
    sound.shell("mv /srv/hello/current /root/kept; mkdir /srv/hello/releases/x; ln -s releases/x /srv/hello/current")
    findings = named(sound.invoke("verify", expect=1), "failed")
    sound.shell("rmdir /srv/hello/releases/x; mv -T /root/kept /srv/hello/current")
    assert "wanted ['hello@x.service']" in findings["one_release_serves"]


def test_a_host_that_cannot_be_reached(sound: Site) -> None:
    """A host that does not answer is one error with exit code 4, not a failure of each check."""
    outcome = sound.invoke("verify", "-e", "ansible_port=1", expect=4)
    assert [event["exit"] for event in outcome.of("error")] == [4]


@pytest.fixture(scope="module")
def broken(sound: Site) -> Outcome:
    """What verify says of a host on which somebody broke all of these things, with its report for machines."""
    for each in BREAKS.values():
        sound.shell(each.script)
    return sound.invoke("verify", "--junit", str(sound.folder / "report.xml"), expect=1)


@pytest.mark.parametrize("how", BREAKS)
def test_what_is_broken_is_named(broken: Outcome, how: str) -> None:
    """Each thing that somebody broke fails the checks that are about it, in words that say what is wrong."""
    findings = named(broken, "failed")
    assert BREAKS[how].checks <= set(findings)
    assert any(BREAKS[how].words in findings[check] for check in BREAKS[how].checks), findings


def test_what_is_sound_is_not_named(broken: Outcome) -> None:
    """No check fails that is not about one of the broken things."""
    assert set(named(broken, "failed")) == set().union(*(each.checks for each in BREAKS.values()))


def test_junit(broken: Outcome, sound: Site) -> None:
    """The report for machines has every check, and the findings as failures."""
    suite = ElementTree.parse(sound.folder / "report.xml").getroot()[0]
    assert int(suite.attrib["tests"]) == len(broken.of("check"))
    assert any("shell is /bin/sh" in (failure.text or "") for failure in suite.iter("failure"))
