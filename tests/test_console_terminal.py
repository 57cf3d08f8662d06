"""What a person sees: the console on a real pseudo-terminal, read by a terminal emulator."""

from __future__ import annotations

import os
import pty
import struct
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ
from typing import Any
from unicodedata import normalize

import pyte
import pytest

from carboy.console import Console
from carboy.console.text import cells
from tests.test_console import RECAP, RELEASE, failed, finished, resource, result, started

ROOT = Path(__file__).parents[1]
FIRST, LAST = "web01", "東京-3"
HOSTS = [FIRST, "e\u0301-2", LAST]
# Runs the events that it is given; at each PAUSE it waits until the other side has looked at the screen.
SCRIPT = """
import ast, sys
from carboy.console import Console
with Console(check={check}) as console:
    for host, event in ast.literal_eval(sys.argv[1]):
        if event == "PAUSE":
            print("\\x1b[5n", end="", file=sys.stderr, flush=True)
            sys.stdin.readline()
        elif isinstance(event, str):
            console.line(event, "green")
        else:
            console.event(host, event)
"""
PAUSE = (None, "PAUSE")
Said = list[tuple[str | None, Any]]


@dataclass
class Terminal:
    """A terminal of so many columns and rows, with what was on it at each pause and at the end."""

    columns: int
    rows: int = 24
    raw: bytes = b""

    def play(self, events: Said, *, check: bool = False, env: Mapping[str, str] | None = None) -> list[list[str]]:
        """Have a console show the events; returns the lines on the screen at each pause, and all of them at the end."""
        ours, theirs = pty.openpty()
        ioctl(theirs, TIOCSWINSZ, struct.pack("HHHH", self.rows, self.columns, 0, 0))
        self.screen = pyte.HistoryScreen(self.columns, self.rows, history=10_000)
        stream, seen = pyte.ByteStream(self.screen), []
        # pytest's workers export a size of their own, which a terminal's would give way to.
        ours_alone = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
        environment = {**ours_alone, "TERM": "xterm-256color", **(env or {})}
        command = [sys.executable, "-c", SCRIPT.format(check=check), repr(events)]
        with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=theirs, stdout=theirs, stderr=theirs):
            os.close(theirs)
            while data := _read(ours):
                self.raw += data
                stream.feed(data)
                if b"\x1b[5n" in self.raw[-len(data) - 3 :]:
                    seen.append(self.lines())
                    os.write(ours, b"\n")
        os.close(ours)
        return [*seen, self.lines()]

    def lines(self) -> list[str]:
        """What is and was on the screen, without the empty lines at the end."""
        above = ["".join(row[column].data for column in range(self.columns)) for row in self.screen.history.top]
        # The emulator composes characters; so it is undone.
        shown = (normalize("NFD", line.rstrip()) for line in [*above, *self.screen.display])
        return "\n".join(shown).rstrip().split("\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


def rolled_out(*hosts: str) -> Said:
    """A deploy to hosts of which the last one fails."""
    why = "the new release does not start: the module a_module_that_is_not_there is not installed"
    events: Said = [(None, started(*hosts)), *((host, {"event": "connecting"}) for host in hosts)]
    for host in hosts[:-1]:
        events += [(host, {"event": "progress", "text": "building"}), (host, resource("file /etc/x")), (host, result())]
    events += [(hosts[-1], failed(why, "\x1b[31mTraceback\x1b[2J", "install it")), (hosts[-1], result("failed", why))]
    return [*events, (None, finished(**{**dict.fromkeys(hosts, "ok"), hosts[-1]: "failed"}))]


def test_a_line_of_many_parts() -> None:
    """On a terminal of 80 columns the recap takes two lines; on one that does not know its size, one."""
    assert Terminal(80).play([(None, RECAP)])[0] == folded_at_80()
    unknown = Terminal(200)
    unknown.columns = 200
    assert unknown.play([(None, RECAP)])[0] == [RECAP]


def folded_at_80() -> list[str]:
    """The recap as 80 columns have it."""
    first, *rest = RECAP.split(" · ")
    return [f"{first} · {rest[0]}", f"    {' · '.join(rest[1:])}"]


@pytest.mark.parametrize("columns", [60, 80])
def test_what_remains_of_many_hosts(columns: int) -> None:
    """One line a host, the failure, a table with columns in line, a sum: each line fits, and nothing live is left."""
    terminal = Terminal(columns)
    lines = terminal.play(rolled_out(*HOSTS))[0]
    begin = next(at for at, line in enumerate(lines) if line.startswith("host "))
    table = lines[begin : begin + 4]
    assert [line.split()[0] for line in table] == ["host", *HOSTS] and lines[-1].startswith("2 ok, 1 failed · ")
    states = zip(table, ["state", "ok", "ok", "failed"], strict=True)
    assert {cells(line[: line.index(f" {word}")]) for line, word in states} == {7}
    assert table[3].endswith("…") and len([line for line in lines if "8b8fafda" in line]) == 4
    assert lines[0].startswith(f"{FIRST}   ok  ")
    assert not terminal.screen.cursor.hidden and not any("through" in line for line in lines)
    assert f"{LAST}  | \\x1b[31mTraceback\\x1b[2J" in lines


def test_nothing_remains_but_what_a_file_would_get(capfd: pytest.CaptureFixture[str]) -> None:
    """On a wide terminal of few rows the lines that stay are those that a file gets, none more and none less."""
    events = rolled_out(*(f"web{number:02}" for number in range(30)))
    console = Console()
    for host, event in events:
        console.event(host, event)
    assert Terminal(200, 10).play(events)[0] == capfd.readouterr().err.splitlines()


def test_the_live_region_is_as_high_as_there_is_room() -> None:
    """Hosts that are under way are shown in their order, with how many more there are and how many are through."""
    hosts = [f"web{number:02}" for number in range(20)]
    events: Said = [(None, started(*hosts)), *((host, {"event": "connecting"}) for host in reversed(hosts))]
    events += [("web05", {"event": "progress", "text": "building\nx" * 30}), ("web00", result()), PAUSE]
    seen = Terminal(60, 12).play(events)[0]
    assert seen[0].startswith("web00  ok ")
    assert [line.split()[0] for line in seen[1:9]] == [f"web{number:02}" for number in range(1, 9)]
    assert seen[5].startswith("web05  building xbuilding") and seen[5].endswith("0:00") and len(seen[5]) == 60
    assert seen[9:] == ["... and 11 more", "1 of 20 hosts are through"]


def test_what_was_asked_for_stands_above_nothing_live() -> None:
    """stdout on the same terminal is not mixed up with the region, nor swallowed by it."""
    maintenance = {"event": "maintenance", "since": None}
    events: Said = [("a", {"event": "connecting"}), ("a", maintenance), ("b", {"event": "connecting"})]
    assert Terminal(80).play(events)[0] == ["a  not in maintenance"]


def test_no_line_is_lost_where_the_region_comes_and_goes() -> None:
    """Whatever is written while hosts are under way stays, also where the region had to give way for it."""
    hosts = [f"web{number}" for number in range(6)]
    events: Said = [(None, started(*hosts)), *((host, {"event": "connecting"}) for host in hosts)]
    for number, host in enumerate(hosts):
        events += [(host, {"event": "maintenance", "since": None}), (host, result(text=f"line {number}"))]
        events += [(host, {"event": "connecting"}) for host in hosts[number + 1 :]]
    lines = Terminal(80).play(events)[0]
    assert [line.partition("  ")[2].split(" · ")[0].split()[-2:] for line in lines] == [
        words for number in range(6) for words in (["in", "maintenance"], ["line", str(number)])
    ]


def test_a_log_cannot_order_a_terminal_about() -> None:
    """On a terminal the characters that would are written out."""
    line = "\x1b[2J\x1b]0;title\x07\rover"
    assert Terminal(80).play([("a", {"event": "log", "line": line})])[0] == [r"\x1b[2J\x1b]0;title\x07\rover"]


@pytest.mark.parametrize(
    ("env", "coloured"),
    [({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "0"}, False), ({"TERM": "dumb"}, False)],
)
@pytest.mark.parametrize("live", [True, False])
def test_colours(env: dict[str, str], coloured: bool, live: bool) -> None:
    """A diff has colours on a terminal, unless NO_COLOR has any value or the terminal has none; beside a region too."""
    events: Said = [("a", {"event": "connecting"})] * live + [("a", resource("file x", diff="-old\n+new"))]
    terminal = Terminal(80)
    lines = terminal.play(events, check=True, env=env)[0]
    assert lines == [f"a  {'file x':<44} would change", "    -old", "    +new"]
    assert (b"\x1b[31m    -old" in terminal.raw, b"\x1b[32m    +new" in terminal.raw) == (coloured, coloured)


def test_a_dumb_terminal_gets_plain_lines() -> None:
    """Nothing on it moves: what would be live is a line."""
    terminal = Terminal(80)
    events: Said = [("a", {"event": "connecting"}), ("a", {"event": "progress", "text": "building"})]
    assert terminal.play(events, env={"TERM": "dumb"})[0] == ["a  building"]
    assert b"\x1b" not in terminal.raw


def test_release_names_are_whole_where_there_is_room() -> None:
    """A wide terminal shows names, a narrow one their digests."""
    assert any(f"  {RELEASE}  2/10" in line for line in Terminal(140).play(rolled_out("a", "b"))[0])
