"""Commands around a cutover: where they run, what their failure does, and rollbacks that need a person's yes."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from tests.host.conftest import ROOT, Site, site
from tests.host.test_interrupts import APPLIER, at_rest, await_progress, start
from tests.support.load import load

SHARED = "/srv/hello/shared"
TELL = f'echo "$(id -un) $PWD $CARBOY_RELEASE $COLOUR $(command -v python)" >{SHARED}/told'


@pytest.fixture
def changed(deployed: Site) -> Iterator[Site]:
    """A host with a change to deploy; what a test sets in the inventory is taken back."""
    before = dict(deployed.variables)
    deployed.edit("app/wsgi.py", "app = create_app()", "app = create_app()\n")
    yield deployed
    deployed.variables = before


def test_a_hook_runs_as_the_release_would(changed: Site) -> None:
    """In the release's own folder, user, environment and sandbox, and before the public sees the release."""
    [before] = changed.serving()
    changed.variables |= {
        "app_environment": {"COLOUR": "green"},
        "release_before_cutover": [
            TELL,
            f"cat /etc/shadow >{SHARED}/stolen || true",
            f"ls /run/hello >{SHARED}/served",
        ],
    }
    outcome = changed.invoke("deploy")
    [cutover], [hook] = outcome.of("cutover"), outcome.of("hook")
    folder = f"/srv/hello/releases/{cutover['release']}"
    wanted = f"hello {folder}/tree {cutover['release']} green {folder}/venv/bin/python"
    assert changed.shell(f"cat {SHARED}/told").strip() == wanted
    assert changed.shell(f"cat {SHARED}/stolen; cat {SHARED}/served").split() == [before]
    assert hook["moment"] == "before_cutover" and "Permission denied" in hook["said"]
    assert changed.shell("ls /run/systemd/system | grep -c hook || true").strip() == "0"


def test_a_failing_hook_before_the_cutover(changed: Site) -> None:
    """The deploy fails with the hook's own words, and the old release never notices."""
    before = changed.serving()
    with load(changed.port) as result:
        commands = '{"release_before_cutover": ["echo no such table: users", "false", "echo never"]}'
        [failed] = changed.invoke("deploy", "-e", commands, expect=1).of("failed")
    assert failed["what"].startswith("before_cutover failed")
    assert "no such table: users" in failed["details"] and "never" not in failed["details"]
    assert (result.failures, result.releases) == ([], before)
    assert changed.serving() == before


def test_a_failing_hook_after_the_cutover(changed: Site) -> None:
    """The new release served already; it is taken back, and no request fails."""
    before = changed.serving()
    with load(changed.port) as result:
        outcome = changed.invoke("deploy", "-e", '{"release_after_cutover": ["echo cache is down; exit 3"]}', expect=1)
    [failed] = outcome.of("failed")
    assert failed["what"].startswith("after_cutover failed") and "exit status 3" in failed["what"]
    assert before[0] in failed["hint"]
    assert result.failures == [] and len(result.releases) == 2
    assert changed.serving() == before


def test_a_hook_that_hangs(changed: Site) -> None:
    """Its time is limited."""
    hanging = '{"release_before_cutover": ["sleep 60"], "release_hook_timeout": 1}'
    [failed] = changed.invoke("deploy", "-e", hanging, expect=1).of("failed")
    assert "timeout" in failed["what"]


def test_a_rollback_runs_no_hooks(changed: Site) -> None:
    """What migrated forward must not do so again on the way back."""
    changed.variables["release_before_cutover"] = [f"date +%N >>{SHARED}/migrated"]
    changed.invoke("deploy")
    outcome = changed.invoke("rollback")
    assert outcome.of("hook") == []
    changed.invoke("rollback")
    assert changed.shell(f"wc -l <{SHARED}/migrated").strip() == "1"


def test_on_one_host_only(changed: Site, tmp_path: Path) -> None:
    """A hook that is marked so runs on the first host of a run, for each app; the others are told."""
    changed.variables |= {"release_before_cutover": ["touch ../../../shared/ran"], "release_before_cutover_once": True}
    with site(tmp_path) as second:
        second.write_inventory()
        box = yaml.safe_load((second.folder / "inventory/hosts.yml").read_text())["all"]["hosts"]["box"]
        same = {key: box[key] for key in box if key.startswith("ansible_")}
        other = {"app_name": "other", "app_listen": "127.0.0.1:8001"}
        changed.write_inventory()
        known = yaml.safe_load((changed.folder / "inventory/hosts.yml").read_text())["all"]["hosts"]["box"]
        hosts = {"box2": {**known, **same}, "box3": {**known, **other}}
        (tmp_path / "more.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
        pinned = changed.folder / ".ssh/known_hosts"
        pinned.write_text(pinned.read_text() + (second.folder / ".ssh/known_hosts").read_text())
        outcome = changed.invoke("deploy", "-i", str(tmp_path / "more.yml"), "--host", "box2,box3")
        assert [event["host"] for event in outcome.of("hook")] == ["box", "box3"]
        assert second.shell("ls /srv/hello/shared") == ""
    changed.shell("systemctl stop other.socket 'other@*'")


def test_a_hook_of_a_killed_run(changed: Site) -> None:
    """It goes on to its end, and the next deploy waits for it rather than run a second one beside it."""
    changed.variables["release_before_cutover"] = [f"echo begins >>{SHARED}/log; sleep 2; echo ends >>{SHARED}/log"]
    deploy = start(changed)
    await_progress(deploy, "running before_cutover")
    changed.host.container.exec("pkill", "-9", "-f", APPLIER)
    deploy.communicate()
    at_rest(changed)
    changed.invoke("deploy")
    assert changed.shell(f"cat {SHARED}/log").split() == ["begins", "ends"] * 2


def test_a_rollback_across_what_cannot_be_undone(changed: Site) -> None:
    """It needs a yes: without one nothing is switched; forward again needs none."""
    changed.variables["release_reversible"] = False
    changed.invoke("deploy")
    before = changed.serving()
    [failed] = changed.invoke("rollback", expect=1).of("failed")
    assert f"{before[0]} cannot be undone" in failed["what"] and "--yes" in failed["hint"]
    assert changed.serving() == before
    changed.invoke("rollback", "--yes")
    assert changed.serving() != before
    changed.invoke("rollback")
    assert changed.serving() == before


def test_a_rollback_to_what_never_served_well(changed: Site) -> None:
    """It needs a yes too, and then the gate still judges."""
    before = changed.serving()
    changed.edit("app/wsgi.py", "app = create_app()", "import nowhere\napp = create_app()")
    changed.invoke("deploy", expect=1)
    changed.edit("app/wsgi.py", "import nowhere\napp = create_app()", "app = create_app()")
    broken = changed.shell("ls /srv/hello/releases | tail -1").strip()
    assert "never served well" in changed.invoke("rollback", "--to", broken, expect=1).of("failed")[0]["what"]
    [failed] = changed.invoke("rollback", "--to", broken, "--yes", expect=1).of("failed")
    assert "nowhere" in failed["details"]
    assert changed.serving() == before


@pytest.mark.parametrize(("answer", "switched"), [("n", False), ("", False), ("y", True)])
def test_a_person_is_asked(deployed: Site, answer: str, switched: bool) -> None:
    """On a terminal a question takes the place of --yes, and only yes means yes."""
    deployed.variables["release_reversible"] = False
    deployed.edit("app/wsgi.py", "app = create_app()", "app = create_app()\n")
    deployed.invoke("deploy")
    before = deployed.serving()
    said = answered([word for word in deployed.command("rollback") if word != "--json"], deployed, answer)
    assert "cannot be undone" in said and "[y/N]" in said
    assert (deployed.serving() != before) is switched


def answered(command: list[str], site: Site, answer: str) -> str:
    """Run a command on a terminal and type an answer; returns what it showed."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, cwd=ROOT, env=site.env, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        os.write(ours, answer.encode() + b"\n")
        said = b""
        with suppress(OSError):  # how a terminal says that nobody is left on the other side
            while data := os.read(ours, 4096):
                said += data
        process.wait()
    os.close(ours)
    return said.decode()
