"""What the console writes where there is no terminal: lines for people on stderr, events for programs on stdout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carboy.console import Console, folded
from carboy.console.text import cells, fitted, padded, visible
from carboy.errors import UnreachableError

ROOT = Path(__file__).parents[1]
RECAP = "sandbox  2 changed, 10 ok · 20261122T154231Z-8b8fafda serves, cutover 0.43 s · before: nothing · 2.7 s in all"
RELEASE, BEFORE = "20261122T154231Z-8b8fafda", "20261121T101010Z-11223344"
Event = dict[str, Any]
Capture = pytest.CaptureFixture[str]
WHO = {"run": "r", "who": "me", "where": "here", "since": "2026-11-22T15:42:31Z"}
ANY_TEXT = st.text(st.characters(exclude_categories=()) | st.sampled_from("\x1b\x9b\x07\r\n\t\u202e\ud800"))


def started(*hosts: str, verb: str = "deploy") -> Event:
    """The first event of a run."""
    return {"event": "started", "verb": verb, "inventory": [], "hosts": list(hosts), **WHO}


def result(state: str = "ok", text: str = "", **more: Any) -> Event:
    """A host is through."""
    done = state == "ok"
    facts = {"release": RELEASE if done else "", "before": BEFORE if done else "", "cutover": 0.43 if done else None}
    counts = {"exit": 0 if done else 1, "changed": 2, "ok": 10, "seconds": 2.71}
    return {"event": "result", "state": state, **counts, **facts, "text": text, **more}


def finished(**states: str) -> Event:
    """The last event of a run."""
    return {"event": "finished", "exit": 1, "seconds": 12.34, "states": states}


def failed(what: str, details: str = "", hint: str = "") -> Event:
    """A host that failed."""
    return {"event": "failed", "t": 1.0, "what": what, "details": details, "hint": hint}


def resource(title: str, status: str = "changed", **more: Any) -> Event:
    """A resource of a host."""
    return {"event": "resource", "t": 1.0, "role": "app", "resource": title, "status": status, **more}


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_wide_line_is_broken_between_its_parts(width: int) -> None:
    """Each line fits, those after the first are indented, and nothing is lost."""
    lines = folded(RECAP, width).splitlines()
    assert len(lines) > 1 and max(map(len, lines)) <= width
    assert all(line.startswith("    ") for line in lines[1:])
    assert " · ".join(line.strip() for line in lines) == RECAP


@pytest.mark.parametrize("width", [len(RECAP), 200, None])
def test_a_line_that_fits_stays_one(width: int | None) -> None:
    """The widest line that fits is not broken, nor is any where there is no terminal."""
    assert folded(RECAP, width) == RECAP


def test_output_to_a_file_is_not_broken(capsys: Capture) -> None:
    """What is not a terminal gets each line whole."""
    Console().line(RECAP)
    assert capsys.readouterr().err == RECAP + "\n"


def test_one_host_says_every_step_and_a_recap(capsys: Capture) -> None:
    """Of one host each step is a line, and the last one says what serves, and what did before."""
    console = Console()
    console.event(None, started("sandbox"))
    console.event("sandbox", {"event": "connecting"})
    console.event("sandbox", {"event": "progress", "t": 1.0, "text": "building"})
    console.event("sandbox", resource("file /etc/x"))
    console.event("sandbox", result(before=""))
    console.event(None, finished(sandbox="ok"))
    said = capsys.readouterr()
    assert said.err.splitlines() == ["sandbox  building", f"sandbox  {'file /etc/x':<44} changed", RECAP]
    assert said.out == ""


def test_many_hosts_say_one_line_each_as_they_end_and_a_table_in_their_order(capsys: Capture) -> None:
    """Changes are counted, failures are told with the host's name, and the table is in the inventory's order."""
    console = Console()
    console.event(None, started("b", "long-name", "a"))
    for host in ("a", "b", "long-name"):
        console.event(host, {"event": "progress", "t": 1.0, "text": "building"})
        console.event(host, resource("file /etc/x"))
    console.event("a", result())
    console.event("long-name", failed("no room", "/srv is full\nreally", "make room"))
    console.event("long-name", result("failed", "no room", changed=0, ok=0))
    console.error("b", UnreachableError("no answer", where="host b (me@192.0.2.1:22)", hint="is it up?"))
    console.event("b", result("unreachable", "no answer", changed=0, ok=0))
    console.event(None, finished(b="unreachable", **{"long-name": "failed"}, a="ok"))
    assert capsys.readouterr().err.splitlines() == [
        f"a          ok            2 changed, 10 ok · {RELEASE} serves · 2.7 s",
        "long-name  | /srv is full",
        "long-name  | really",
        "long-name  error: no room",
        "long-name  where: host long-name",
        "long-name  next:  make room",
        "long-name  failed        no room · 2.7 s",
        "b          error: no answer",
        "b          where: host b (me@192.0.2.1:22)",
        "b          next:  is it up?",
        "b          unreachable   no answer · 2.7 s",
        "host       state        serves                     changed/ok  s    why",
        "b          unreachable                                         2.7  no answer",
        "long-name  failed                                              2.7  no room",
        f"a          ok           {RELEASE}  2/10        2.7",
        "1 ok, 1 unreachable, 1 failed · 12.3 s in all",
    ]


def test_a_host_that_goes_back_counts_once(capsys: Capture) -> None:
    """The second result of a host replaces the first, in the table and in the sum."""
    console = Console()
    console.event(None, started("a", "b"))
    console.event("a", result())
    console.event("a", result("back", "went back, because others failed", release=BEFORE))
    console.event("b", result("left", "1 of 2 hosts failed"))
    console.event(None, finished(a="back", b="left"))
    *_, row, _, summary = capsys.readouterr().err.splitlines()
    assert row.split()[:4] == ["a", "went", "back", BEFORE]
    assert summary == "1 not touched, 1 went back · 12.3 s in all"


def test_a_plan_of_many_hosts_shows_drift_and_diff_of_each(capsys: Capture) -> None:
    """Every line of a difference has the host's name, and the table says which hosts would change."""
    console = Console()
    console.event(None, started("a", "b", verb="plan"))
    console.event("a", resource("file /etc/x", drift={"mode": ["0600", "0644"]}, diff="-old\n+new"))
    console.event("b", resource("file /etc/x", "ok"))
    console.event("a", result("drift", exit=2, changed=1))
    lines = capsys.readouterr().err.splitlines()
    assert lines[:4] == [
        f"a  {'file /etc/x':<44} would change",
        "a      mode: 0600 -> 0644",
        "a      -old",
        "a      +new",
    ]
    assert lines[4:] == ["a  would change  1 would change, 10 ok · 2.7 s"]


@given(
    text=ANY_TEXT, name=st.sampled_from(["progress", "warning", "failed", "resource", "hook", "log", "error", "odd"])
)
def test_nothing_that_a_host_says_is_an_order_to_the_terminal(text: str, name: str) -> None:
    """Whatever characters an event has, lines are of visible ones, and every line says whose it is."""
    fields = dict.fromkeys(("text", "what", "details", "hint", "where", "resource", "said", "line", "moment"), text)
    event = {"event": name, "status": "failed", "seconds": 1.0, "diff": text, "drift": {text: [text, None]}, **fields}
    lines = _lines(lambda console: console.event("web1", event))
    assert [line for line in lines if not line.startswith("web1   ")] == []
    assert [line for line in lines if visible(line) != line] == []


def _lines(act: Callable[[Console], None]) -> list[str]:
    """What a console of two hosts writes, as a terminal would get it; its own lines end with a newline only."""
    said: list[str] = []
    console = Console(check=True)
    console.event(None, started("web1", "web22"))
    console._screen.lines = lambda lines: said.extend(text for text, _ in lines)  # type: ignore[method-assign,assignment]
    console._screen.fact = lambda text, **_: said.append(visible(text))  # type: ignore[method-assign,misc]
    act(console)
    return [visible(line) for text in said for line in text.split("\n")]


def test_a_log_is_left_as_it_is_for_a_program(capfd: pytest.CaptureFixture[str]) -> None:
    """What goes to a pipe or a file is the app's line, byte for byte; of several hosts each line has the name."""
    line = "\x1b[31mred\x1b[0m\tü\x07"
    console = Console()
    console.event("a", {"event": "log", "t": 1.0, "line": line})
    console.event(None, started("a", "bb", verb="logs"))
    console.event("a", {"event": "log", "t": 1.0, "line": line})
    assert capfd.readouterr().out == f"{line}\na   {line}\n"


@pytest.mark.parametrize("event", [{"event": "resource"}, {"event": "serving", "since": "x"}, {"event": "check"}])
def test_an_event_that_cannot_be_understood_is_shown_as_it_is(event: Event, capsys: Capture) -> None:
    """A host of another version does not end the command."""
    Console().event("web1", event)
    assert capsys.readouterr().err == f"web1  ? {json.dumps(event)}\n"


def test_a_host_cannot_speak_for_another_or_for_the_run(capsys: Capture) -> None:
    """The name on a line is that of the connection, and what only a run can say is passed over from a host."""
    for machine in (True, False):
        Console(machine=machine).event("web1", {**finished(web2="ok"), "host": "web2"})
    said = capsys.readouterr()
    assert json.loads(said.out)["host"] == "web1" and said.err == ""


def test_events_are_strict_json_in_ascii(capsys: Capture) -> None:
    """No value of a host makes a line that a strict reader refuses."""
    odd = {"event": "progress", "text": "ü\ud800\n\u2028", "t": float("nan"), "big": 10**30}
    Console(machine=True).event("東京", odd)
    said = capsys.readouterr().out
    assert said.isascii() and said.count("\n") == 1
    assert json.loads(said, parse_constant=pytest.fail) == {"host": "東京", **odd, "t": "NaN"}


WRITER = """
import sys
from carboy.console import Console
console = Console(machine={machine})
for _ in range(3):
    console.event("a", {event})
    console.line("still here")
print("went on", file=open(sys.argv[1], "w"))
"""
LOG, STEP = {"event": "log", "line": "x"}, {"event": "cutover", "release": "r", "before": None, "seconds": 1.0}
SERVING = {"event": "maintenance", "since": None}


@pytest.mark.parametrize(
    ("machine", "event", "goes_on"),
    [(True, STEP, True), (False, SERVING, True), (True, LOG, False), (False, LOG, False)],
)
def test_a_reader_that_goes_away_ends_logs_and_nothing_else(
    machine: bool, event: Event, goes_on: bool, tmp_path: Path
) -> None:
    """With stdout and stderr closed at the other end a deploy goes on, and logs end."""
    reading, writing = os.pipe()
    os.close(reading)
    _write(machine, event, tmp_path / "done", writing)
    os.close(writing)
    assert (tmp_path / "done").exists() is goes_on


def test_a_full_disk_is_told_and_ends_nothing(tmp_path: Path) -> None:
    """Where stdout can take no more, the run goes on and says so on stderr, once."""
    with open("/dev/full", "wb") as full, open(tmp_path / "errors", "w") as errors:
        _write(True, STEP, tmp_path / "done", full.fileno(), errors.fileno())
    said = (tmp_path / "errors").read_text()
    assert (tmp_path / "done").exists() and said.count("No space left on device") == 1
    assert said.startswith("warning: nothing more can be written to <stdout>")


def _write(machine: bool, event: Event, done: Path, out: int, err: int | None = None) -> None:
    command = [sys.executable, "-c", WRITER.format(machine=machine, event=event), str(done)]
    subprocess.run(command, cwd=ROOT, stdout=out, stderr=out if err is None else err, timeout=30)


def test_rich_is_not_loaded_where_there_is_no_terminal() -> None:
    """Its import would be a tenth of an unchanged deploy."""
    script = "import sys; from carboy.console import Console; c = Console(); c.event(None, {}); c.event('a', {}); "
    script = script.replace("{}", "{!r}").format(started("a"), result())
    command = [sys.executable, "-c", script + "sys.exit('rich' in sys.modules)"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True).returncode == 0


@pytest.mark.parametrize("machine", [True, False])
def test_five_hundred_hosts_cost_little(machine: bool, capfd: pytest.CaptureFixture[str]) -> None:
    """The console costs no more than a few times what it costs to write the events as JSON at all."""
    hosts = [f"web{number:03}" for number in range(500)]
    step = [
        resource(f"file /etc/{n}", "ok" if n % 2 else "changed", drift={"mode": ["0600", "0644"]}) for n in range(14)
    ]
    console = Console(machine=machine)
    least, began = (
        _seconds(lambda: [json.dumps(event) for _ in hosts for event in (*step, result())]),
        time.process_time(),
    )
    console.event(None, started(*hosts))
    for host in hosts:
        for event in (*step, result()):
            console.event(host, event)
    console.event(None, finished(**dict.fromkeys(hosts, "ok")))
    assert time.process_time() - began < 8 * least
    assert len(capfd.readouterr().out.splitlines()) == (500 * 15 + 2 if machine else 0)


def _seconds(act: Callable[[], object]) -> float:
    began = time.process_time()
    act()
    return time.process_time() - began


@given(st.text(), st.integers(1, 40))
def test_texts_are_cut_to_a_width(text: str, width: int) -> None:
    """What is cut and padded takes exactly as many columns as it may; what fits stays whole."""
    cut = fitted(text, width)
    assert cells(cut) <= width and (cut == text or cells(text) > width)
    assert cells(padded(cut, width)) == width


@pytest.mark.parametrize(
    ("text", "width"), [("日本語", 6), ("e\u0301", 1), ("🚀", 2), ("a·b", 3), ("👩\u200d👩\u200d👧", 2)]
)
def test_widths(text: str, width: int) -> None:
    """Wide characters take two columns, combining ones none."""
    assert cells(text) == width
