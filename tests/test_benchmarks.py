"""The benchmarks without a host: tables and picture of known figures, the pages, and what the contestants are given."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from benchmarks import pages, plot
from benchmarks.cases import ONE, SSH
from benchmarks.contestants import Ansible, Carboy, Contestant, PlainAnsible, Pyinfra
from benchmarks.packages import Packages
from benchmarks.process import peak, run
from benchmarks.results import Results
from carboy.project import ROOT

SVG = "{http://www.w3.org/2000/svg}"
MB = 1_000_000
NEAR = {SSH: 0.25, Carboy.label: 0.5, Pyinfra.label: 2.5, Ansible.label: 5.0}
Make = Callable[[type[Contestant]], Contestant]


@pytest.fixture
def results() -> Results:
    """Two rounds on one host, in the second of which all is twice as slow and default Ansible takes part."""
    slow = {**{label: 2 * seconds for label, seconds in NEAR.items()}, PlainAnsible.label: 20.0}
    cases = {"unchanged": [NEAR, slow], "unchanged, fleet": [{Carboy.label: 2.0, ONE: 0.5}], "scale, 5": [NEAR]}
    return Results("a machine", "2026-01-02", 16, cases, {1: 60 * MB, 5: 72 * MB, 9: 76 * MB})


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Contestants in a folder of the test."""
    return lambda kind: kind(tmp_path, Packages(tmp_path / "wheels.tar", "0123"))


def test_a_row_has_the_median_the_ratio_and_the_rounds_of_each(results: Results) -> None:
    """Ratios are of pairs in the same round, so that who sat out the quick one is not blamed for the slow one."""
    [row] = [line for line in pages.tables(results).splitlines() if line.startswith("| unchanged, 1 host |")]
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        "unchanged, 1 host",
        "0.38 · 2",
        "0.75 · 2",
        "3.75 (5.0) · 2",
        "7.50 (10.0) · 2",
        "20.00 (20.0) · 1",
    ]


def test_all_rows_of_a_table_are_equally_wide(results: Results) -> None:
    """Each table that is written has as many cells in its rows as in its head."""
    for block in pages.tables(results).split("\n\n"):
        assert len({line.count("|") for line in block.splitlines()}) == 1


def test_targets_say_what_was_met_and_what_was_missed(results: Results) -> None:
    """A target that was not measured is left out; both kinds of limits are judged the right way round."""
    rows = [line.strip("| ").split(" | ") for line in pages.tables(results).splitlines() if " at " in line]
    assert [(row[0], row[2], row[3]) for row in rows] == [
        ("unchanged, 1 host, next to `ssh host true`", "2.00 times", "met"),
        ("tuned Ansible next to Carboy", "10.00 times", "missed"),
        ("pyinfra next to Carboy", "5.00 times", "met"),
        ("16 hosts next to 1 host, unchanged", "4.00 times", "met"),
        ("controller's memory for each host more", "3.00 MB", "missed"),
    ]


def test_results_are_the_same_once_they_were_kept(results: Results, tmp_path: Path) -> None:
    """The pages can be written again from what a run has left."""
    results.save(tmp_path / "kept/bench.json")
    assert Results.load(tmp_path / "kept/bench.json") == results


def test_the_picture_has_a_bar_for_each_that_was_measured() -> None:
    """It is valid XML, names are escaped, and ten times as long is one decade further."""
    tree = ElementTree.fromstring(plot.svg({"one & two": {"a<b": 0.1, "c": 1.0}, "three": {"c": 10.0}}))
    bars = [each for each in tree.iter(f"{SVG}rect") if each.get("x") == str(plot.LEFT)]
    assert [float(bar.get("width", 0)) for bar in bars] == [1.0, plot.WIDTH / 2, plot.WIDTH]
    assert {"one & two", "a<b", "three"} <= {each.text for each in tree.iter(f"{SVG}text")}


def test_pages_are_written_between_their_markers_alone(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands around the markers stays, a second writing changes nothing, and a page without them is left alone."""
    page, readme = tmp_path / "performance.md", tmp_path / "README.md"
    page.write_text(f"before\n{pages.BEGIN}\nold\n{pages.END}\nafter\n")
    readme.write_text("no markers\n")
    for name, path in (("PERFORMANCE", page), ("README", readme), ("PLOT", tmp_path / "plot.svg")):
        monkeypatch.setattr(pages, name, path)
    pages.write(results)
    written = page.read_text()
    pages.write(results)
    assert page.read_text() == written
    assert written.startswith(f"before\n{pages.BEGIN}\n") and written.endswith(f"{pages.END}\nafter\n")
    assert "old" not in written and "plot.svg" in written and "| unchanged, 1 host |" in written
    assert readme.read_text() == "no markers\n"


def test_the_page_has_markers() -> None:
    """There is a place in the documents for what `make bench` writes."""
    text = pages.PERFORMANCE.read_text()
    assert 0 < text.index(pages.BEGIN) < text.index(pages.END)


def test_changes_are_counted_in_what_each_tool_says(make: Make) -> None:
    """The check that a second run changes nothing cannot be passed by words that it does not understand."""
    recap = "h1 : ok=14   changed=3    unreachable=0\nh2 : ok=14   changed=1    unreachable=0\n"
    said = '{"totals": {"hosts": 19, "success": 18, "error": 0, "no_change": 1}}'
    event = '{"event": "resource", "status": "%s"}\n'
    assert make(Ansible).changed(recap) == 4
    assert make(Pyinfra).changed(said) == 18
    assert make(Carboy).changed(f"words\n{event % 'changed'}{event % 'ok'}{event % 'changed'}") == 2


def test_an_edit_changes_one_line_of_the_app(make: Make) -> None:
    """Each contestant has a copy of its own, and the edited one says in its answers how often."""
    carboy = make(Carboy)
    before = (carboy.source / "app/wsgi.py").read_text().splitlines()
    carboy.edit()
    after = (carboy.source / "app/wsgi.py").read_text().splitlines()
    assert [line for line in after if line not in before] == ['app.config["RELEASE"] = "edit 2"']
    assert (ROOT / "app/wsgi.py").read_text().splitlines() == before[:-1]


@pytest.mark.parametrize("config", ["default.cfg", "tuned.cfg"])
def test_the_playbook_is_one(config: str, make: Make, tmp_path: Path) -> None:
    """ansible-playbook accepts its syntax, and warns of nothing in it or in the configuration."""
    ansible = make(Ansible)
    command = [*ansible.command(()), "--syntax-check"]
    env = {**ansible.env, "ANSIBLE_CONFIG": str(Ansible.folder / config)}
    hosts = tmp_path / "tuned.hosts.yml"
    hosts.write_text(yaml.safe_dump({"all": {"hosts": {"one": None}}}))
    done = subprocess.run(command, cwd=Ansible.folder, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_process_is_timed_and_its_failure_ends_the_benchmark(tmp_path: Path) -> None:
    """The clock, the CPU and the words are of the process; one that fails is quoted."""
    done = run([sys.executable, "-c", "print(sum(range(10**6)))"], dict(os.environ), cwd=tmp_path)
    assert done.said == "499999500000\n" and 0 < done.cpu < 60
    with pytest.raises(SystemExit, match="no luck"):
        run([sys.executable, "-c", "raise SystemExit('no luck')"], dict(os.environ), cwd=tmp_path)


def test_memory_is_that_of_the_command_and_not_of_who_started_it(tmp_path: Path) -> None:
    """A small command stays small beside this process, and a large one is seen."""
    ballast = bytearray(b"x" * 200 * MB)
    sizes = [
        peak([sys.executable, "-I", "-S", "-c", f"x = b'x' * {size * MB}"], dict(os.environ), cwd=tmp_path)[1]
        for size in (1, 100)
    ]
    assert sizes[0] < 60 * MB < 100 * MB < sizes[1] < len(ballast)
