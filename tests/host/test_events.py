"""Every verb as a program sees it, on a real host: stdout is events as documented, and verify covers many hosts."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from tests.host.conftest import ROOT, Outcome, Site
from tests.support.typist import INVOKE

BEFORE = (["catalog"], ["trust", "--yes"], ["plan", "--out"], ["deploy", "--diff", "--receipt"])
AFTER = (
    ["plan"],
    ["deploy"],
    ["status"],
    ["history"],
    ["logs"],
    ["rollback"],
    ["doctor"],
    ["runs"],
    ["maintenance", "on"],
)
Said = dict[str, Outcome]


@pytest.fixture(scope="module")
def said(fresh: Site) -> Said:
    """What every verb but verify says; that all of it is as documented was checked when it was read."""
    kept = {"--out": [str(fresh.folder / "plan.json")]}
    every = {" ".join(words): [*words, *kept.get(words[-1], [])] for words in (*BEFORE, *AFTER)}
    return {name: fresh.invoke(*words, expect=None) for name, words in every.items()}


def test_the_frame_of_every_verb(said: Said) -> None:
    """Verbs that go to hosts begin and end as documented, with one result for the host and the command's exit code."""
    framed = {name: outcome for name, outcome in said.items() if name.split()[0] not in ("catalog", "trust", "runs")}
    assert len(framed) == 10
    for name, outcome in framed.items():
        if outcome.code == 3:
            assert [event["event"] for event in outcome.events] == ["error"], name
            continue
        first, last, [result] = outcome.events[0], outcome.events[-1], outcome.of("result")
        assert (first["event"], first["verb"], first["hosts"]) == ("started", name.split()[0], ["box"])
        assert (last["event"], last["exit"], last["states"]) == ("finished", outcome.code, {"box": result["state"]})
        assert result["exit"] == outcome.code


def test_nothing_else_is_written(said: Said) -> None:
    """With --json stderr is empty too, but for the fingerprint that trust shows, and an error that ends a verb."""
    assert {name for name, outcome in said.items() if outcome.stderr} <= {"trust --yes", "maintenance on"}


def test_what_each_verb_is_for_is_among_its_events(said: Said) -> None:
    """Drift and diff, a receipt, what serves, the history, the log, a refusal, the runs that are kept."""
    wanted = {"catalog": "catalog", "trust --yes": "pinned", "status": "serving", "history": "switch", "logs": "log"}
    wanted |= {
        "plan --out": "saved",
        "deploy --diff --receipt": "receipt",
        "rollback": "failed",
        "doctor": "finding",
        "runs": "recorded",
    }
    assert {name for name, event in wanted.items() if not said[name].of(event)} == set()
    assert any("drift" in event and "diff" in event for event in said["deploy --diff --receipt"].of("resource"))


@pytest.fixture
def mute() -> Iterator[int]:
    """A port where somebody takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@pytest.mark.usefixtures("said")
def test_verify_over_many_hosts(fresh: Site, mute: int) -> None:
    """A dead host and one that is mute are told at once and delay nobody; one JUnit file has them all."""
    report = fresh.folder / "reports" / "all.xml"
    hosts = {"box": {}, "dead": {"ansible_port": 1}, "mute": {"ansible_port": mute, "ansible_timeout": 2}}
    outcome = _verify(fresh, hosts, report)
    results = outcome.of("result")
    assert [(each["host"], each["state"], each["exit"]) for each in results] == [
        ("dead", "unreachable", 4),
        ("mute", "unreachable", 4),
        ("box", "ok", 0),
    ]
    assert outcome.code == 4 and outcome.events[-1]["states"] == {each["host"]: each["state"] for each in results}
    suites = {suite.attrib["hostname"]: suite for suite in ElementTree.parse(report).getroot()}
    assert [*suites] == ["box", "dead", "mute"]
    assert int(suites["box"].attrib["tests"]) == len(outcome.of("check")) > 20
    assert [suites[name].attrib["errors"] for name in suites] == ["0", "1", "1"]


def _verify(site: Site, hosts: dict[str, Any], report: Path) -> Outcome:
    """Verify the site's host under these names, each with variables of its own."""
    site.write_inventory()
    [known] = yaml.safe_load((site.folder / "inventory/hosts.yml").read_text())["all"]["hosts"].values()
    path = site.folder / "many.yml"
    path.write_text(yaml.safe_dump({"all": {"hosts": {name: {**known, **own} for name, own in hosts.items()}}}))
    command = [INVOKE, "verify", "-i", str(path), "--host", "all", "--json"]
    done = subprocess.run([*command, "--junit", str(report)], cwd=ROOT, env=site.env, capture_output=True, text=True)
    return Outcome(done.returncode, done.stdout, done.stderr)
