"""`invoke verify` over many hosts, without a host: a process for each, and one JUnit file of them all."""

from __future__ import annotations

import os
import pty
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest

from carboy.errors import DeclarationError, FailedError, UnreachableError
from carboy.inventory import Host
from carboy.verify.processes import ENDED, Processes, Say
from carboy.verify.report import Report, place, write
from tests.support.sshd import keygen
from tests.support.trees import fill
from tests.support.typist import INVOKE

ROOT = Path(__file__).parents[1]
Heard = list[tuple[str, Any]]


def hear(forks: int, **work: Callable[[Say], None]) -> Heard:
    """All that is said, in its order."""
    with Processes(work, forks, lambda: None) as processes:
        return list(processes)


def test_each_host_is_heard_to_its_end() -> None:
    """Events and errors arrive as they are, and each host's last word is that it ended."""
    trouble = UnreachableError("no answer", where="host b", hint="is it up?")
    heard = hear(2, a=lambda say: say({"event": "check"}), b=lambda say: say(trouble))
    assert [said for name, said in heard if name == "a"] == [{"event": "check"}, ENDED]
    error, ended = (said for name, said in heard if name == "b")
    assert (type(error), str(error), ended) == (UnreachableError, str(trouble), ENDED)


def test_a_slow_host_delays_no_other(tmp_path: Path) -> None:
    """While one hangs, all others begin and end; it is heard as soon as it goes on."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    work = {"slow": lambda say: say(gate.read_text()), **dict.fromkeys("abc", lambda say: say("here"))}
    with Processes(work, 2, lambda: None) as processes:
        heard = iter(processes)
        others = [next(heard)[0] for _ in range(6)]
        gate.write_text("at last")
        assert [*others, *heard] == [*sorted(others), ("slow", "at last"), ("slow", ENDED)]


def test_a_process_that_dies_is_an_error_of_its_host_alone() -> None:
    """Killed or ended in whatever way, what it had said counts, and the rest is told as an error."""
    heard = hear(3, killed=_killed, gone=lambda _: os._exit(9), well=lambda say: say("fine"))
    told = {name: [said for host, said in heard if host == name] for name in ("killed", "gone", "well")}
    assert told["killed"][0] == "before" and told["well"] == ["fine", ENDED]
    errors = [said for name in ("killed", "gone") for said in told[name] if isinstance(said, FailedError)]
    assert [each.what.rpartition(": ")[2] for each in errors] == ["killed by signal 9", "exit 9"]


def test_a_process_that_dies_in_the_middle_of_a_word_takes_no_other_along() -> None:
    """Half a message is passed over, and its host is told as cut short."""
    heard = hear(2, cut=_cut, well=lambda say: say("fine"))
    assert {name: [said for host, said in heard if host == name] for name in ("well",)} == {"well": ["fine", ENDED]}
    [error, _] = [said for host, said in heard if host == "cut"]
    assert isinstance(error, FailedError) and error.what.endswith("exit 9")


def _cut(say: Say) -> None:
    os.write(say.__self__.fileno(), struct.pack("!i", 100) + b"half")  # type: ignore[attr-defined]
    os._exit(9)


def _killed(say: Say) -> None:
    say("before")
    os.kill(os.getpid(), signal.SIGKILL)


def test_no_more_than_wanted_are_under_way(tmp_path: Path) -> None:
    """Hosts wait for their turn."""

    def work(say: Say) -> None:
        with open(tmp_path / "under-way", "a+") as file:
            file.write(f"{os.getpid()}\n")
        say(sum(_lives(int(pid)) for pid in (tmp_path / "under-way").read_text().split()))

    heard = hear(2, **dict.fromkeys("abcdef", work))
    assert max(said for _, said in heard if said is not ENDED) <= 2


def _lives(pid: int) -> bool:
    with suppress(ProcessLookupError, FileNotFoundError):
        os.kill(pid, 0)
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return False


INTERRUPTED = """
import os, signal, sys, time
from carboy.verify import processes
def work(say):
    try:
        say(os.getpid())
        time.sleep(600)
    finally:
        os.write(1, b"tidied up\\n")
def deaf(say):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    work(say)
if sys.argv[1] == "deaf":
    processes.PATIENCE_SECONDS = 0
with processes.Processes(dict.fromkeys("ab", {"work": work, "deaf": deaf}[sys.argv[1]]), 2, lambda: None) as both:
    for _, pid in both:
        print(pid, flush=True)
"""


@pytest.mark.parametrize("everybody", [True, False])
@pytest.mark.parametrize(("kind", "expected"), [("work", ["tidied up"] * 2), ("deaf", [])])
def test_an_interrupt_ends_all_and_lets_them_tidy_up(kind: str, expected: list[str], everybody: bool) -> None:
    """After Ctrl-C, which the whole group gets, or a signal to the command alone, no process is left."""
    command = [sys.executable, "-c", INTERRUPTED, kind]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, start_new_session=True, **pipes) as process:
        assert process.stdout
        pids = [int(process.stdout.readline()) for _ in range(2)]
        (os.killpg if everybody else os.kill)(process.pid, signal.SIGINT)
        said, errors = process.communicate(timeout=60)
    assert said.splitlines() == expected
    assert errors.count("Traceback") == 1 and errors.rstrip().endswith("KeyboardInterrupt")
    assert not any(map(_lives, pids))


def report(name: str, *checks: dict[str, Any], error: Exception | None = None) -> Report:
    """What was found on a host of this name."""
    host = Host(name, {"ansible_host": "192.0.2.1", "ansible_ssh_common_args": "-F none -o Port=2222"}, {})
    made = Report(SimpleNamespace(host=host, app="hello"))  # type: ignore[arg-type]
    for check in checks:
        made.add({"event": "check", **check})
    if error:
        made.add(error)  # type: ignore[arg-type]
    else:
        made.add({"event": "verified", "release": "r1", "seconds": 3.5})
    return made


def check(name: str, outcome: str = "ok", message: str = "", **facts: str) -> dict[str, Any]:
    """One check."""
    return {"subject": "logs", "check": name, "title": f"the {name}", "outcome": outcome, "seconds": 0.25} | {
        "message": message,
        "facts": facts,
    }


def test_one_junit_file_of_all_hosts(tmp_path: Path) -> None:
    """A suite for each host with its name, counts that add up, and every outcome as JUnit has it."""
    odd = "bad \x1b[31m & <b> \ufffe\nnext: mend it"
    reports = [
        report("東京", check("mode"), check("rotation", "failed", odd, requests="7"), check("kill", "skipped", "ask")),
        report("b", check("mode"), error=UnreachableError("no answer", where="host b", hint="is it up?")),
        report("c"),
    ]
    write(tmp_path / "all.xml", "run1", reports)
    root = ElementTree.parse(tmp_path / "all.xml").getroot()
    suites = {suite.attrib["hostname"]: suite for suite in root}
    assert [*suites] == ["東京", "b", "c"] and root.tag == "testsuites"
    for part in (root, *root):
        count = {each: len(part.findall(f".//{each}")) for each in ("testcase", "failure", "error", "skipped")}
        told = [int(part.attrib[name]) for name in ("tests", "failures", "errors", "skipped")]
        assert told == [*count.values()]
    assert (suites["東京"].attrib["time"], suites["b"].attrib["time"], root.attrib["time"]) == (
        "3.500",
        "0.250",
        "7.250",
    )
    failure = root.find(".//failure")
    assert failure is not None and failure.text == "bad \\x1b[31m & <b> ?\nnext: mend it"
    assert failure.attrib["message"] == "bad \\x1b[31m & <b> ?"
    error = root.find(".//error")
    assert error is not None and (error.attrib["type"], error.attrib["message"]) == ("UnreachableError", "no answer")
    facts = {each.attrib["name"]: each.attrib["value"] for each in suites["東京"].iter("property")}
    assert facts["requests"] == "7" and facts["release"] == "r1" and facts["run"] == "run1"
    assert facts["address"] == "192.0.2.1:2222", "ssh's configuration says the port"


def test_what_was_interrupted_is_no_good_news(tmp_path: Path) -> None:
    """A host whose checks have no end, or no beginning, is an error in the file, and its exit code is 1."""
    cut, left = (Report(report(name).declared) for name in ("cut", "left"))
    cut.add({"event": "connecting"})
    cut.add({"event": "check", **check("mode")})
    assert (cut.code, cut.facts["state"], left.code) == (1, "failed", 1)
    write(tmp_path / "all.xml", "run1", [cut, left])
    root = ElementTree.parse(tmp_path / "all.xml").getroot()
    assert [each.attrib["message"] for each in root.iter("error")] == [
        "the checks were interrupted",
        "the checks were not begun",
    ]
    assert root.attrib["errors"] == "2"


@pytest.mark.parametrize(
    ("found", "code", "state", "text"),
    [
        (report("a", check("x"), check("y", "skipped")), 0, "ok", "1 ok, 1 skipped"),
        (report("a", check("x"), check("y", "failed"), check("z", "failed")), 1, "failed", "2 failed: y, z"),
        (report("a", check("y", "skipped")), 1, "failed", "1 skipped"),
        (report("a"), 1, "failed", "nothing checked"),
        (report("a", error=UnreachableError("no answer")), 4, "unreachable", "no answer"),
        (report("a", check("x"), error=FailedError("cut short")), 1, "failed", "cut short"),
    ],
)
def test_what_became_of_a_host(found: Report, code: int, state: str, text: str) -> None:
    """A host is well only if checks were made and none failed."""
    assert (found.code, found.facts["state"], found.facts["text"]) == (code, state, text)


def test_a_file_that_cannot_be_written_is_found_before_any_host_is_asked(tmp_path: Path) -> None:
    """It is an error of the command line; folders are made, and an earlier report is left until there is a new one."""
    (tmp_path / "file").write_text("")
    with pytest.raises(DeclarationError, match="no report can be written"):
        place(tmp_path / "file" / "report.xml")
    old = tmp_path / "new" / "report.xml"
    place(old)
    old.write_text("kept")
    assert place(old).read_text() == "kept"
    with pytest.raises(DeclarationError, match="no report can be written"):
        place(tmp_path)


def test_a_report_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """Where there is no room, or no folder any more, that is said; a link stays one, and nothing is left behind."""
    with pytest.raises(FailedError, match="the report cannot be written: No space left") as caught:
        write(place(Path("/dev/full")), "run1", [report("a")])
    assert caught.value.where == "--junit /dev/full"
    with pytest.raises(FailedError, match="the report cannot be written: No such file"):
        write(tmp_path / "gone" / "all.xml", "run1", [report("a")])
    ours, theirs = os.pipe()
    write(place(Path(f"/dev/fd/{theirs}")), "run1", [report("a")])
    assert os.read(ours, 5) == b"<?xml"
    os.close(ours)
    os.close(theirs)
    (tmp_path / "link.xml").symlink_to("all.xml")
    write(place(tmp_path / "link.xml"), "run1", [report("a")])
    assert {path.name: path.is_symlink() for path in tmp_path.iterdir()} == {"link.xml": True, "all.xml": False}


INVENTORY = """\
all:
  hosts: {{a: {{}}, b: {{}}, c: {{}}}}
  vars:
    {{ansible_host: 127.0.0.1, ansible_port: {port}, ansible_timeout: 1, ansible_ssh_common_args: "-F none",
      app_name: hello, app_wsgi: "app:app", app_source: {source}, app_secrets: {secrets}}}
"""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """What all hosts of the inventory are: it hears who comes, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


def command(folder: Path, port: int, secrets: str) -> list[str]:
    """The command for hosts with these secrets."""
    source = fill(folder / "source", {"app.py": "app = None\n", "requirements.txt": "gunicorn\n"})
    fill(folder, {"hosts.yml": INVENTORY.format(port=port, source=source, secrets=secrets)})
    return [INVOKE, "verify", "-i", str(folder / "hosts.yml"), "--host", "all"]


def verified(folder: Path, port: int, secrets: str) -> subprocess.CompletedProcess[str]:
    """What the command says of them."""
    environment = {**os.environ, "HOME": str(folder)}
    typed = command(folder, port, secrets)
    return subprocess.run(typed, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)


def test_a_secret_that_cannot_be_had_is_found_before_any_host_is_asked(tmp_path: Path, listener: socket.socket) -> None:
    """It is one error with exit code 3, and nobody is contacted."""
    done = verified(tmp_path, listener.getsockname()[1], "{TOKEN: {env: NOT_SET_HERE}}")
    assert (done.returncode, done.stderr.count("error: no secret TOKEN")) == (3, 1), done.stderr
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_secrets_are_fetched_once_for_all_hosts(tmp_path: Path, listener: socket.socket) -> None:
    """Their commands run before the hosts part, each in a process of its own."""
    secrets = f"{{TOKEN: {{command: 'echo x >>{tmp_path}/ran; echo hunter2'}}}}"
    assert verified(tmp_path, listener.getsockname()[1], secrets).returncode == 4
    assert (tmp_path / "ran").read_text() == "x\n"


def test_a_passphrase_is_asked_for_once(tmp_path: Path, listener: socket.socket) -> None:
    """However many hosts take the key, and before they part: whoever is asked by all at once can answer none."""
    key = keygen(tmp_path / "id", passphrase="hunter2")
    arguments = command(tmp_path, listener.getsockname()[1], "{}")
    arguments += ["-e", f"ansible_private_key_file={key}"]
    child, terminal = pty.fork()
    if not child:
        os.chdir(ROOT)
        os.execv(INVOKE, arguments)
    said = b""
    with suppress(OSError):  # as a terminal ends
        while data := os.read(terminal, 1024):
            asked, said = said.count(b"passphrase of"), said + data
            if said.count(b"passphrase of") > asked:
                os.write(terminal, b"hunter2\n")
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 4
    assert said.count(b"passphrase of") == 1, said
