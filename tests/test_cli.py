"""The real command on bad input: one clear error, the right exit code, nothing on stdout, and no host contacted."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.support.trees import fill
from tests.support.typist import INVOKE

ROOT = Path(__file__).parents[1]
Done = subprocess.CompletedProcess[str]
Invoke = Callable[..., Done]
LABELS = ("error: ", "where: ", "next:  ")
HOSTS = """\
all:
  hosts:
    prod1: {{ansible_host: 127.0.0.1, ansible_port: {port}, ansible_timeout: 1}}
    prod2: {{ansible_host: 127.0.0.1, ansible_port: {port}, ansible_timeout: 1}}
  children:
    web: {{hosts: {{prod1: {{}}}}}}
    empty: {{}}
  vars: {{app_name: hello, app_wsgi: "app.wsgi:app", app_source: {source}}}
"""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """The address of every host of the inventory; it must see no connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


@pytest.fixture
def hosts(tmp_path: Path, listener: socket.socket) -> Path:
    """An inventory in which everything is right."""
    app = fill(tmp_path / "source", {"app/wsgi.py": "app = None\n", "requirements.txt": "gunicorn\n"})
    fill(tmp_path, {"hosts.yml": HOSTS.format(port=listener.getsockname()[1], source=app)})
    return tmp_path / "hosts.yml"


@pytest.fixture
def invoke(tmp_path: Path, hosts: Path) -> Invoke:
    """Runs `invoke` with that inventory, in a home of its own."""
    keep = {name: value for name, value in os.environ.items() if name not in ("SSH_AUTH_SOCK", "CARBOY_DEBUG")}
    environment = {**keep, "HOME": str(tmp_path)}

    def invoke(verb: str, *options: str, inventory: Path = hosts) -> Done:
        command = [INVOKE, verb, "-i", str(inventory), *options]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30)

    return invoke


def refusal(done: Done, listener: socket.socket) -> str:
    """The error of a command that did nothing; checks that it looks as errors should."""
    lines = done.stderr.splitlines()
    assert [line[: len(LABELS[0])] for line in lines] == [label for label in LABELS if label in done.stderr], lines
    assert lines and lines[0].startswith(LABELS[0])
    assert (done.returncode, done.stdout) == (3, "")
    with pytest.raises(BlockingIOError):
        listener.accept()
    return done.stderr


OPTIONS: dict[str, tuple[list[str], list[str]]] = {
    "unknown host": (["--host", "prod3"], ["unknown host or group 'prod3'", "did you mean 'prod"]),
    "unknown group": (["--host", "webb"], ["'webb'", "did you mean 'web'?"]),
    "one of several": (["--host", "prod1,nosuch"], ["'nosuch'"]),
    "a group without hosts": (["--host", "empty"], ["empty has no hosts"]),
    "no host of the default name": ([], ["'sandbox'"]),
    "wrong type": (
        ["-e", "gunicorn_workers=many"],
        ["gunicorn_workers", "whole number", "'many'", "-e gunicorn_workers"],
    ),
    "unknown key": (["-e", "gunicorn_wrokers=2"], ["gunicorn_wrokers", "did you mean 'gunicorn_workers'?"]),
    "unknown role": (["-e", "carboy_roles=[app, systemdd]"], ["unknown role systemdd", "did you mean 'systemd'?"]),
    "roles that are no list": (["-e", "carboy_roles=app"], ["carboy_roles must be a list"]),
    "undefined reference": (["-e", "app_name={{ nosuch }}"], ["'nosuch'", "-e app_name"]),
    "missing source": (["-e", "app_source=/no/such"], ["no folder /no/such", "app_source"]),
    "missing requirements": (["-e", "app_requirements=no.txt"], ["no requirements file no.txt", "app_requirements"]),
    "bad wsgi": (["-e", "app_wsgi=app/wsgi.py"], ["'app/wsgi.py'", "package.module:object", "-e app_wsgi"]),
    "bad name": (["-e", "app_name=Hello World"], ["'Hello World'", "app_name"]),
    "our own name": (["-e", "app_name=carboy"], ["app_name", "give the app another name"]),
    "bad address": (["-e", "app_listen=8000/tcp"], ["'8000/tcp'", "app_listen"]),
    "a name for an address": (["-e", "app_listen=localhost:8001"], ["'localhost:8001'", "127.0.0.1"]),
    "missing secrets": (
        ["-e", "app_secrets_file=/no/such"],
        ["the secrets file /no/such: cannot be read", "app_secrets_file"],
    ),
    "reserved name": (["-e", "app_environment={CARBOY_RELEASE: x}"], ["CARBOY_RELEASE", "give it another name"]),
    "bad health": (["-e", "app_health=/a b"], ["'/a b'", "-e app_health", "%20"]),
    "bad share": (["-e", "app_cpus=half"], ["'half'", "a number"]),
    "bad path": (["-e", "systemd_writable=[var/x]"], ["'var/x'", "systemd_writable"]),
    "missing key": (
        ["-e", "ansible_ssh_private_key_file=/no/such"],
        ["/no/such", "-e ansible_ssh_private_key_file (host prod1)"],
    ),
    "a mapping with a fault": (["-e", '{"app_name": [hunter2}'], ["-e, line 1"]),
    "extra without value": (["-e", "app_name"], ["-e 'app_name' sets no variable", "-e key=value"]),
    "extra without name": (["-e", "=x"], ["sets no variable"]),
    "extra from nowhere": (["-e", "@/no/such.yml"], ["/no/such.yml"]),
    "unsupported connection": (["-e", "ansible_connection=winrm"], ["'winrm' is not supported"]),
    "no forks": (["--forks", "0"], ["--forks 0", "write 1 or more"]),
    "no number": (["--forks", "many"], ["--forks many is no whole number"]),
    "no seconds": (["--wait", "-3"], ["--wait -3 is no whole number"]),
    "a host of nothing": (["--check", "--host"], ["--host is given and says nothing"]),
    "a variable of nothing": (["-e", "--check"], ["-e is given and says nothing"]),
    "a batch of none": (["--serial", "1,0"], ["'0' hosts is none", "--serial"]),
    "a batch of none in the inventory": (["-e", "rollout_serial=[0%]"], ["rollout_serial", "'0%' hosts is none"]),
    "batches of what": (["--serial", "1,many"], ["'many' is neither a number of hosts nor a percentage", "--serial"]),
    "more than all": (["--max-fail", "101%"], ["'101%' is neither", "--max-fail"]),
    "a batch in the inventory": (["-e", "rollout_serial=[1, x]"], ["rollout_serial", "'x' is neither", "25%"]),
    "a plan that is not there": (["--plan", "/no/such.json"], ["/no/such.json", "invoke plan --out"]),
    "a plan that is none": (["--plan", "pyproject.toml"], ["pyproject.toml", "cannot be read"]),
    "attach with more": (["--attach", "last", "--serial", "1"], ["--attach takes the name of a run"]),
    "bad port": (["-e", "ansible_port=ssh"], ["ansible_port", "whole number"]),
}


@pytest.mark.parametrize("kind", OPTIONS)
def test_bad_options(invoke: Invoke, listener: socket.socket, kind: str) -> None:
    """Each wrong option is one error of three lines at most, which names what is wrong and where."""
    options, expected = OPTIONS[kind]
    named = [] if "--host" in options or kind.startswith("no host") else ["--host", "prod1"]
    error = refusal(invoke("deploy", *named, *options), listener)
    assert [part for part in expected if part not in error] == []


INVENTORIES: dict[str, tuple[str, list[str]]] = {
    "empty": ("", ["has no hosts"]),
    "without hosts": ("all: {children: {web: {}}}", ["has no hosts"]),
    "syntax": ("all:\n  hosts:\n    prod1: {a: [\n", ["hosts.yml, line 4"]),
    "a tab": ("all:\n\thosts: {}\n", ["hosts.yml, line 2"]),
    "a list": ("- prod1\n", ["hosts.yml"]),
    "a key twice": ("all:\n  hosts:\n    prod1:\n    prod1:\n", ["prod1", "hosts.yml, line 4"]),
}


@pytest.mark.parametrize("kind", INVENTORIES)
def test_bad_inventories(invoke: Invoke, listener: socket.socket, tmp_path: Path, kind: str) -> None:
    """A broken inventory is told with its file, and with the line where there is one."""
    text, expected = INVENTORIES[kind]
    inventory = fill(tmp_path / "other", {"hosts.yml": dedent(text)}) / "hosts.yml"
    error = refusal(invoke("plan", "--host", "prod1", inventory=inventory), listener)
    assert [part for part in expected if part not in error] == []


def test_hosts_that_differ_in_what_is_one_for_all(invoke: Invoke, listener: socket.socket, tmp_path: Path) -> None:
    """A rollout is of all hosts together: two that declare it differently are named, until the command line decides."""
    fill(tmp_path, {"host_vars/prod2.yml": "rollout_max_fail: 1\n"})
    error = refusal(invoke("deploy", "--host", "prod1,prod2"), listener)
    assert "prod1 and prod2 differ in rollout_max_fail" in error and "prod2.yml" in error
    listener.close()
    assert invoke("deploy", "--host", "prod1,prod2", "--max-fail", "1").returncode == 4


def test_a_run_that_is_not_kept(listener: socket.socket) -> None:
    """A name that is of no run is refused, and the verb that lists them named."""
    command = [INVOKE, "runs", "--show", "1999"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert "no run 1999 is kept here" in refusal(done, listener) and "invoke runs" in done.stderr


def test_an_inventory_that_is_not_there(invoke: Invoke, listener: socket.socket, tmp_path: Path) -> None:
    """The path is named as it was given."""
    assert str(tmp_path / "nowhere") in refusal(invoke("status", inventory=tmp_path / "nowhere"), listener)


def test_the_last_host_is_checked_before_the_first_is_contacted(
    invoke: Invoke, listener: socket.socket, tmp_path: Path
) -> None:
    """A mistake that only compiling the second host's catalog can find is found before the first host is touched."""
    fill(tmp_path, {"host_vars/prod2.yml": "app_source: /no/such\n"})
    assert "no folder /no/such" in refusal(invoke("deploy", "--host", "prod1,prod2"), listener)


def test_a_reader_that_goes_away_does_not_hide_the_outcome(hosts: Path) -> None:
    """The exit code is that of the verb, though nobody reads what it says."""
    command = [INVOKE, "deploy", "-i", str(hosts), "--host", "prod1", "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        process.stdout.close()
    assert process.returncode == 4


def test_errors_as_json(invoke: Invoke) -> None:
    """With --json an error before any host is an event on stdout too, with the exit code; people still see it."""
    done = invoke("deploy", "--host", "prod1", "--json", "-e", "app_source=/no/such")
    assert json.loads(done.stdout) == {
        "host": None,
        "event": "error",
        "what": "no folder /no/such",
        "where": "-e app_source (host prod1)",
        "hint": "app_source names the app's folder or repository",
        "exit": 3,
    }
    assert done.returncode == 3
    assert done.stderr.startswith("error: no folder /no/such\n")


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["people", "json"])
def test_a_silent_host(invoke: Invoke, options: list[str]) -> None:
    """A host that accepts and says nothing: exit code 4 after its timeout, three lines or one event, no traceback."""
    done = invoke("status", "--host", "prod1", *options)
    assert done.returncode == 4
    if options:
        events = [json.loads(line) for line in done.stdout.splitlines()]
        assert [event["event"] for event in events] == ["started", "connecting", "error", "result", "finished"]
        assert (events[2]["host"], events[2]["exit"], done.stderr) == ("prod1", 4, "")
    else:
        assert [line[:7] for line in done.stderr.splitlines()] == list(LABELS)
        assert "no answer within 1 s" in done.stderr


EARLY = "see whether run RUN began, then it finishes alone: invoke status --host prod1 -i HOSTS"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["deploy"], f"\ninterrupted\nnext:  {EARLY}\n"),
        (["deploy", "--check"], ""),
        (["logs", "--follow"], ""),
    ],
    ids=" ".join,
)
def test_ctrl_c(hosts: Path, listener: socket.socket, words: list[str], said: str) -> None:
    """An interrupt is exit code 130; only what changes hosts has a word to say about those that have begun."""
    command = [INVOKE, *words, "-i", str(hosts), "--host", "prod1", "-e", "ansible_timeout=20"]
    environment = {**os.environ, "HOME": str(hosts.parent)}
    running = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    listener.settimeout(20)
    with listener.accept()[0]:
        running.send_signal(signal.SIGINT)
        output, errors = running.communicate(timeout=20)
    assert (running.returncode, output, re.sub(r"\d+T\d+Z-\w+", "RUN", errors.replace(str(hosts), "HOSTS"))) == (
        130,
        "",
        said,
    )


def test_one_bad_host_does_not_hide_another(invoke: Invoke) -> None:
    """Each host that cannot be reached has an error of its own, and the command goes on to the next."""
    done = invoke("status", "--host", "prod1,prod2")
    assert done.returncode == 4
    assert [name for name in ("prod1", "prod2") if f"where: host {name}" in done.stderr] == ["prod1", "prod2"]


def test_debug_shows_the_traceback(invoke: Invoke) -> None:
    """Only who asks for it sees where in Carboy an error was raised."""
    done = invoke("deploy", "--host", "nosuch", "--debug")
    assert "Traceback" in done.stderr and "DeclarationError" in done.stderr
    assert done.returncode != 0


@pytest.mark.parametrize("option", ["app_listen=8001", "app_listen='8001'", '{"app_listen": "8001"}'])
def test_numbers_may_be_typed_where_text_is_meant(invoke: Invoke, option: str) -> None:
    """Nobody needs two layers of quotes for a text that looks like a number."""
    done = invoke("catalog", "--host", "prod1", "-e", option)
    assert (done.returncode, done.stderr) == (0, "")
    assert '"listen": "8001"' in done.stdout


def test_the_catalog_is_what_would_travel(invoke: Invoke, listener: socket.socket) -> None:
    """`invoke catalog` prints the resources as JSON, for whoever wants to look, and asks no host."""
    done = invoke("catalog", "--host", "prod1")
    shown = json.loads(done.stdout)
    assert (done.returncode, done.stderr, shown["host"]) == (0, "", "prod1")
    assert {resource["is"].partition(".")[2] for _, resource in shown["catalog"]} >= {
        "User",
        "Venv",
        "Release",
        "Cutover",
    }
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_the_sandbox_is_not_up(invoke: Invoke, listener: socket.socket, tmp_path: Path) -> None:
    """Without --host and without a sandbox, the error says how to have one."""
    fill(tmp_path / "none", {"hosts.yml": "all: {hosts: {sandbox: {}}}"})
    assert "invoke sandbox.up" in refusal(invoke("deploy", inventory=tmp_path / "none"), listener)


def test_a_host_that_is_down_stops_a_deploy_everywhere(invoke: Invoke, listener: socket.socket) -> None:
    """All hosts are looked at before any is changed: if one cannot be reached, nothing is begun anywhere."""
    listener.close()
    done = invoke("deploy", "--host", "prod1,prod2", "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 4
    assert [event["hosts"] for event in events if event["event"] == "started"] == [["prod1", "prod2"]]
    assert {event["host"] for event in events if event["event"] == "error"} == {"prod1", "prod2"}
    assert not [event for event in events if event["event"] in ("batch", "begin")]
    assert events[-1]["states"] == {"prod1": "unreachable", "prod2": "unreachable"}


def test_nothing_is_loaded_in_vain() -> None:
    """The launcher of setup.sh spares each command what only tests of invoke want, and a second YAML."""
    command = [sys.executable, "-X", "importtime", INVOKE, "--list"]
    loaded = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stderr
    names = {line.rpartition("|")[2].strip() for line in loaded.splitlines()}
    assert names >= {"invoke.main", "carboy.cli"} and names.isdisjoint({"asyncio", "paramiko", "invoke.vendor.yaml"})


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_closed_stream_does_not_change_the_outcome(hosts: Path, closed: str) -> None:
    """As `>&-` leaves it: what would be written is lost, the exit code is not."""
    script = f'"$0" deploy -i {hosts} --host prod1 {">&-" if closed == "stdout" else "2>&-"}'
    done = subprocess.run(["sh", "-c", script, INVOKE], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, "Traceback" in done.stderr) == (4, False), done.stderr


def test_an_interrupt_before_a_verb_begins(tmp_path: Path) -> None:
    """Python's own words about it would be a traceback of imports."""
    fill(tmp_path, {"tasks.py": "import sys\nprint('here', flush=True)\nsys.stdin.read()\n"})
    pipe = subprocess.PIPE
    with subprocess.Popen([INVOKE, "deploy"], cwd=tmp_path, stdin=pipe, stdout=pipe, stderr=pipe) as running:
        assert running.stdout and running.stderr and running.stdout.readline() == b"here\n"
        running.send_signal(signal.SIGINT)
        assert running.stderr.read() == b"\ninterrupted, and no host was contacted\n"
    assert running.returncode == 130
