"""Many hosts in one run. Each is an app of its own on one container, which names of the inventory lead to."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.host.conftest import ROOT, Outcome, Site, site
from tests.support.load import load
from tests.support.typist import INVOKE, typist

NAMES = ("web1", "web2", "web3", "web4")


@dataclass
class Fleet:
    """Hosts of an inventory, and the commands on them."""

    site: Site
    broken: tuple[str, ...] = ()

    def invoke(self, verb: str, *arguments: str, expect: int | None = 0) -> Outcome:
        """Run a verb on the whole fleet."""
        words = self.command(verb, *arguments)[1:]
        outcome = Outcome(*typist().type(words, self.site.env))
        assert expect in (None, outcome.code), f"exit {outcome.code}\n{outcome.stdout}\n{outcome.stderr}"
        return outcome

    def command(self, verb: str, *arguments: str) -> list[str]:
        """The command line of a verb; without a host in it, all are meant."""
        self.site.write_inventory()
        path = self.site.folder / "inventory/hosts.yml"
        common = yaml.safe_load(path.read_text())["all"]["hosts"]["box"]
        hosts = {name: self._variables(name, number) for number, name in enumerate(NAMES, start=1)}
        path.write_text(yaml.safe_dump({"all": {"vars": common, "hosts": hosts}}))
        named = [] if verb == "runs" or {"--host", "--failed", "--plan"} & {*arguments} else ["--host", "all"]
        return [INVOKE, verb, "-i", str(path), "--json", *named, *arguments]

    def _variables(self, name: str, number: int) -> dict[str, Any]:
        found: dict[str, Any] = {"app_name": f"app{number}", "app_listen": f"/run/{name}.sock"}
        if number == 1:
            found["app_listen"] = "0.0.0.0:8000"
        return found | ({"app_wsgi": "nosuch:app"} if name in self.broken else {})

    def serving(self) -> dict[str, str]:
        """The release that answers for each host."""
        return {event["host"]: event["release"] for event in self.invoke("status").of("serving")}

    def change(self) -> None:
        """Change the app of all."""
        self.site.edit("app/wsgi.py", "app = create_app()", "app = create_app()\n")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Four hosts that nothing was deployed to; what is kept of runs lies in this checkout as ever."""
    with site(tmp_path_factory.mktemp("fleet")) as made:
        made.variables = {"gunicorn_workers": 1, "release_watch": "200ms"}
        yield Fleet(made)


def batches(outcome: Outcome) -> list[list[str]]:
    """The hosts of each batch."""
    return [event["hosts"] for event in outcome.of("batch")]


def states(outcome: Outcome) -> dict[str, str]:
    """How each host stands at the end."""
    found: dict[str, str] = outcome.events[-1]["states"]
    return found


def test_batch_after_batch(fleet: Fleet) -> None:
    """The canary comes first and alone, then the others at once; each has the app, and the end tells so."""
    done = fleet.invoke("deploy", "--serial", "1,100%")
    assert batches(done) == [["web1"], ["web2", "web3", "web4"]]
    assert states(done) == dict.fromkeys(NAMES, "ok")
    canary = next(number for number, event in enumerate(done.events) if event["event"] == "result")
    assert {event["host"] for event in done.events[:canary] if event["event"] == "begin"} == {"web1"}
    assert set(fleet.serving()) == set(NAMES)


def test_unchanged_hosts_are_asked_once(fleet: Fleet) -> None:
    """Where nothing is to be done there are no batches, and every resource of every host is told as it is."""
    done = fleet.invoke("deploy")
    assert (batches(done), done.changed, states(done)) == ([], [], dict.fromkeys(NAMES, "ok"))
    assert {event["changed"] for event in done.of("result")} == {0}
    assert {event["host"] for event in done.of("resource")} == set(NAMES)


def test_a_batch_that_fails_takes_the_others_back(fleet: Fleet) -> None:
    """One bad host: all that have switched serve what they served before, and no request was lost on the way."""
    before = fleet.serving()
    fleet.change()
    fleet.broken = ("web3",)
    with load(fleet.site.port, clients=2) as result:
        done = fleet.invoke("deploy", "--serial", "1,2,100%", expect=1)
    assert result.failures == []
    assert batches(done) == [["web1"], ["web2", "web3"]]
    assert states(done) == {"web1": "back", "web2": "back", "web3": "failed", "web4": "left"}
    assert fleet.serving() == before
    history = [event for event in fleet.invoke("history").of("switch") if event["host"] == "web1"]
    assert [event["action"] for event in history] == ["deploy", "deploy", "rollback"]


def test_keep_going_and_the_rest_later(fleet: Fleet) -> None:
    """On request nobody goes back; --failed then means those that are left, and does them."""
    before = fleet.serving()
    done = fleet.invoke("deploy", "--serial", "1,2,100%", "--keep-going", expect=1)
    assert states(done) == {"web1": "ok", "web2": "ok", "web3": "failed", "web4": "left"}
    fleet.broken = ()
    rest = fleet.invoke("deploy", "--failed", "--serial", "100%")
    assert states(rest) == {"web3": "ok", "web4": "ok"}
    after = fleet.serving()
    assert not {*after.values()} & {*before.values()}
    assert fleet.invoke("deploy", "--failed").stdout == ""


def test_a_silent_host_holds_up_nobody(fleet: Fleet) -> None:
    """A host that accepts and says nothing: the others' results are there first, and the run ends with its error."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        command = fleet.command("status", "--forks", "2")
        path = fleet.site.folder / "inventory/hosts.yml"
        hosts = yaml.safe_load(path.read_text())
        hosts["all"]["hosts"]["web1"] |= {"ansible_host": "127.0.0.1", "ansible_port": port, "ansible_timeout": 8}
        path.write_text(yaml.safe_dump(hosts))
        done = subprocess.run(command, cwd=ROOT, env=fleet.site.env, capture_output=True, text=True)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    results = [event["host"] for event in told if event["event"] == "result"]
    assert (done.returncode, results[-1], {*results}) == (4, "web1", {*NAMES})


def test_a_kept_plan_is_applied_as_it_was_shown(fleet: Fleet, tmp_path: Path) -> None:
    """Applied to its own hosts, and again with nothing to do; a host that has changed since stops it everywhere."""
    path = str(tmp_path / "plan.json")
    fleet.change()
    assert fleet.invoke("plan", "--out", path, "--host", "web1,web2", expect=2).of("saved")
    before = fleet.serving()
    fleet.site.shell("chmod 0600 /etc/logrotate.d/app2")
    refused = fleet.invoke("deploy", "--plan", path, expect=1)
    assert states(refused) == {"web1": "left", "web2": "failed"}
    [error] = refused.of("error")
    assert error["what"] == "the host has changed since the plan: file /etc/logrotate.d/app2"
    alone = fleet.invoke("deploy", "--plan", path, "--host", "web2", expect=1)
    assert alone.of("failed")[0]["what"] == error["what"]
    assert fleet.serving() == before
    fleet.site.shell("chmod 0644 /etc/logrotate.d/app2")
    done = fleet.invoke("deploy", "--plan", path)
    assert (states(done), {event["changed"] for event in done.of("result")}) == ({"web1": "ok", "web2": "ok"}, {2})
    assert fleet.invoke("deploy", "--plan", path).changed == []
    fleet.change()
    assert "is not what was planned" in fleet.invoke("deploy", "--plan", path, expect=3).of("error")[0]["what"]


def test_an_interrupt_leaves_whole_hosts(fleet: Fleet) -> None:
    """Ctrl-C in the first batch: that host finishes alone, no other is begun, and --failed does the rest."""
    fleet.change()
    before = fleet.serving()
    command = fleet.command("deploy", "--serial", "1,100%")
    running = subprocess.Popen(
        command,
        cwd=ROOT,
        env=fleet.site.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert running.stdout
    begun = next(event for event in map(json.loads, running.stdout) if event["event"] == "begin")
    running.send_signal(signal.SIGINT)
    said = running.communicate(timeout=20)[1]
    assert running.returncode == 130
    assert f"invoke deploy --attach {begun['run']} --host web1" in said and "invoke deploy --failed" in said
    assert states(fleet.invoke("deploy", "--attach", begun["run"], "--host", "web1")) == {"web1": "ok"}
    after = fleet.serving()
    assert [name for name in NAMES if after[name] != before[name]] == ["web1"]
    assert states(fleet.invoke("deploy", "--failed", "--wait", "20")) == dict.fromkeys(NAMES, "ok")


def test_runs_can_be_read_again(fleet: Fleet) -> None:
    """`invoke runs` lists what was done here with how it ended, and shows the words of a run as they were."""
    done = fleet.invoke("deploy")
    name = done.events[0]["run"]
    [listed] = [event for event in fleet.invoke("runs").of("recorded") if event["run"] == name]
    assert (listed["verb"], listed["exit"], listed["states"]) == ("deploy", 0, dict.fromkeys(NAMES, "ok"))
    assert fleet.invoke("runs", "--show", name).events == [
        each for each in done.events if each["event"] != "connecting"
    ]
    with urllib.request.urlopen(fleet.site.host.url, timeout=10) as answer:
        assert answer.status == 200
