"""Changes that could lock people out: confirmed over a new login they stay, and whatever else happens they go back."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.host.conftest import Outcome, Site
from tests.host.test_interrupts import APPLIER, await_host, start

ROLES = ["access", "app", "gunicorn", "systemd", "logrotate", "release"]
DROP_IN = "/etc/ssh/sshd_config.d/00-carboy.conf"
KEYS = "/home/deploy/.ssh/authorized_keys"
STATE = (
    "set +e; sha256sum {files} /etc/nftables.conf 2>/dev/null; stat -c '%n %a %U %G' {files} 2>/dev/null; "
    "ls -l /etc/systemd/system/sysinit.target.wants | grep nft; nft list ruleset 2>/dev/null; "
    "sshd -T | sort | sha256sum; systemctl is-active ssh; readlink /srv/hello/current; ls /srv/hello/releases; true"
).format(files=f"{DROP_IN} {KEYS} /etc/sudoers.d/*")
LEFT = (
    "set +e; ls -d /var/lib/carboy/deadman /etc/systemd/system/carboy* /etc/systemd/system/*/carboy* 2>/dev/null; "
    # What ran at boot stays in systemd's memory, though its file is gone.
    "systemctl list-units --all --plain --no-legend 'carboy*' | grep -v 'boot.service loaded inactive'; true"
)
CLOSED = "table inet closed { chain input { type filter hook input priority 0; policy drop; }; }"
OPEN = "flush ruleset\ntable inet open { chain input { type filter hook input priority 0; policy accept; }; }\n"


@pytest.fixture(scope="module")
def guarded(deployed: Site) -> Site:
    """A host with the app, whose access is guarded from now on."""
    deployed.variables = {"carboy_roles": ROLES, "access_confirm": "5s", "ansible_timeout": 2}
    deployed.shell("apt-get -qq update && apt-get -qq install -y nftables")
    deployed.edit("app/wsgi.py", "app = create_app()", "app = create_app()\n")
    return deployed


@pytest.fixture
def unhurt(guarded: Site) -> Iterator[Site]:
    """A host that must be in the end as it was in the beginning: access, rules and release, with an app that answers.

    The app has a change to deploy: access comes first, so a change that went back must have kept it from the switch.
    """
    before = guarded.shell(STATE)
    yield guarded
    assert guarded.shell(STATE) == before
    assert left(guarded) == ""
    guarded.invoke("status")
    with urlopen(f"http://127.0.0.1:{guarded.port}/health", timeout=5) as answer:
        assert answer.status == 200


def left(site: Site) -> str:
    """What there still is of the switch on the host."""
    return site.shell(LEFT)


def own_key(site: Site) -> str:
    """The public key that these tests log in with."""
    return subprocess.check_output(["ssh-keygen", "-y", "-f", site.host.key_file], text=True).strip()


def deploy(site: Site, *settings: str, expect: int = 0) -> Outcome:
    """Deploy with these settings for this run alone."""
    return site.invoke("deploy", *(word for setting in settings for word in ("-e", setting)), expect=expect)


def failure(site: Site, *settings: str) -> tuple[str, str]:
    """Deploy what fails; returns why it was not confirmed, and what the host says."""
    outcome = deploy(site, *settings, expect=1)
    [unconfirmed], [failed] = outcome.of("unconfirmed"), outcome.of("failed")
    assert "no new login confirmed" in failed["what"]
    assert outcome.changed == []
    return unconfirmed["text"], failed["what"] + failed["details"]


def interrupted(site: Site, *settings: str) -> subprocess.Popen[str]:
    """Begin a deploy that cannot be confirmed, and return it while the host waits for that."""
    running = start(site, *(word for setting in settings for word in ("-e", setting)))
    assert running.stdout
    assert any(json.loads(line)["event"] == "unconfirmed" for line in running.stdout)
    assert "nobody" in site.shell(f"cat {DROP_IN}")
    return running


def test_who_is_not_allowed_in(unhurt: Site) -> None:
    """An sshd that does not let us in any more is as before after the time to confirm, and says whom it refused."""
    why, said = failure(unhurt, "access_sshd={AllowUsers: nobody}")
    assert "refused deploy's key; within 5 s the host puts back what was there" in why
    assert DROP_IN in said and "User deploy from" in said and "not allowed" in said


def test_sshd_that_does_not_come_up(unhurt: Site) -> None:
    """An sshd that cannot listen is found as it starts: it is put right at once, with its own words."""
    outcome = deploy(unhurt, "access_sshd={ListenAddress: 192.0.2.1}", "access_confirm=30s", expect=1)
    assert outcome.of("confirm") == []
    assert "Cannot bind any address" in outcome.of("failed")[0]["details"]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("access_sshd={Nonsense: '1'}", "Bad configuration option: Nonsense"),
        ("access_sudoers=[deploy may do anything]", "syntax error"),
    ],
)
def test_what_a_check_refuses(unhurt: Site, setting: str, said: str) -> None:
    """What sshd or visudo do not understand never gets into place."""
    assert said in deploy(unhurt, setting, expect=1).of("failed")[0]["details"]


def test_no_root_any_more(unhurt: Site) -> None:
    """A new login is not enough: where sudo refuses it, the rule is gone again, and all that changed with it."""
    why, said = failure(unhurt, "access_sudoers=[deploy ALL=(ALL) !ALL]", "access_sshd={MaxAuthTries: '3'}")
    assert "no root" in why
    assert "/etc/sudoers.d/carboy" in said and DROP_IN in said


def test_a_key_that_is_not_ours(unhurt: Site, tmp_path: Path) -> None:
    """Without our own key among them, the keys that were there are back."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    why, said = failure(unhurt, f"access_keys=['{(tmp_path / 'key.pub').read_text().strip()}']")
    assert "refused deploy's key" in why and KEYS in said


def test_a_closed_firewall(unhurt: Site, tmp_path: Path) -> None:
    """Rules that let nobody in are gone again, those that no file held are back, and the old connection lived on."""
    unhurt.shell("nft add table inet mine")
    rules = tmp_path / "rules.nft"
    rules.write_text(CLOSED)
    why, said = failure(unhurt, f"access_firewall={rules}")
    assert "no answer within 2 s" in why and "/etc/nftables.conf" in said
    assert unhurt.shell("nft list tables; nft flush ruleset") == "table inet mine"


def test_a_killed_applier(unhurt: Site) -> None:
    """With the applier killed, the host puts everything back by itself, and says so in its log."""
    running = interrupted(unhurt, "access_sshd={AllowUsers: nobody}", "access_confirm=10s")
    unhurt.host.container.exec("pkill", "-9", "-f", APPLIER)
    running.communicate()
    assert running.returncode == 4
    assert "nobody" in unhurt.shell(f"cat {DROP_IN}")
    await_host(unhurt, "! test -e /var/lib/carboy/deadman")
    await_host(unhurt, "! systemctl is-active carboy-deadman.timer carboy-deadman.service")
    assert DROP_IN in unhurt.shell("tail -n 1 /var/lib/carboy/restored.log")


def test_a_reboot(unhurt: Site) -> None:
    """A host that reboots before the confirmation puts everything back before sshd starts."""
    running = interrupted(unhurt, "access_sshd={AllowUsers: nobody}", "access_confirm=1h")
    unhurt.host = unhurt.host.reboot()
    running.communicate()
    assert running.returncode == 4


def test_an_earlier_change_in_the_balance(unhurt: Site) -> None:
    """What a plan would say is not known before an earlier change was confirmed or taken back, so it waits for that."""
    folder = "/var/lib/carboy/deadman"
    unhurt.shell(f"mkdir -m 700 {folder}; touch {folder}/token")
    unhurt.shell(f"systemd-run --quiet --collect --unit=carboy-deadman --on-active=2s rm -r {folder}")
    outcome = unhurt.invoke("plan", "-e", "access_sshd={MaxAuthTries: '3'}", expect=2)
    assert [event for event in outcome.of("progress") if "earlier change" in event["text"]]
    await_host(unhurt, "! systemctl is-active carboy-deadman.timer carboy-deadman.service")


def test_a_good_change_stays(guarded: Site, tmp_path: Path) -> None:
    """What lets us in again is confirmed and stays, the release follows, and a second deploy changes nothing."""
    rules = tmp_path / "rules.nft"
    rules.write_text(OPEN)
    guarded.variables |= {
        "access_sshd": {"MaxAuthTries": "4", "PermitRootLogin": "no"},
        "access_sudoers": ["Defaults:deploy !lecture"],
        "access_keys": [own_key(guarded)],
        "access_firewall": str(rules),
        "access_confirm": "1m",
    }
    outcome = guarded.invoke("deploy")
    assert {"guarded access", "cutover hello"} <= set(outcome.changed)
    assert len(outcome.of("confirm")) == 1 and outcome.of("unconfirmed") == []
    assert left(guarded) == ""
    assert "maxauthtries 4" in guarded.shell("sshd -T")
    assert guarded.shell(f"stat -c '%a %U' {KEYS} /etc/sudoers.d/carboy").split() == ["600", "deploy", "440", "root"]
    assert guarded.shell("nft list tables") == "table inet open"
    assert guarded.invoke("deploy").changed == []
    guarded.host = guarded.host.reboot()
    assert guarded.shell("nft list tables") == "table inet open"
    assert guarded.invoke("deploy").changed == []
