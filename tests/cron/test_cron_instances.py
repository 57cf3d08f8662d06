"""How what runs is read and chosen, and what a keeper tells, without a host: with real processes and sockets."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from carboy.applier.cron.runtime import Runtime
from carboy.applier.host import Host
from carboy.applier.store import Store
from tests.cron.tiny import RELEASE, SECOND, load_program, settings
from tests.support.controller import Controller

STOPPED = "2026-01-01T00:00:00Z by somebody"


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    """An app with two releases below a temporary root, whose processes are those of this machine."""
    (tmp_path / "proc").symlink_to("/proc")
    controller = Controller()
    made = Runtime(Store(Host(controller.stream, root=str(tmp_path)), "tiny"))
    made.instances.folder.mkdir(parents=True)
    for name in (RELEASE, SECOND):
        script = made.instances.script(name)
        script.parent.mkdir(parents=True)
        script.write_text("#!/bin/sh\n")
        script.chmod(0o755)
        listen(made, name, "8000")
    yield made
    controller.close()


def listen(runtime: Runtime, release: str, address: str) -> None:
    """Say where a release listens."""
    (runtime.store.path(release) / "release.json").write_text(json.dumps({"gate": {"listen": address}}))


@pytest.mark.parametrize("chosen", [None, RELEASE, SECOND])
@pytest.mark.parametrize("stopped", ["", STOPPED])
def test_a_failed_release_leaves_what_was_chosen(runtime: Runtime, chosen: str | None, stopped: str) -> None:
    """Nothing, another release or that very one is chosen as before, and stays stopped if somebody stopped it."""
    if chosen:
        runtime.instances.choose(chosen)
    if stopped:
        runtime.instances.stopped.write_text(stopped)
    before = runtime.read()
    runtime.instances.choose(SECOND)
    runtime.take_down(SECOND, before)
    assert runtime.read().chosen == chosen
    assert runtime.instances.stopped.exists() == bool(stopped)
    assert runtime.read().shown == before.shown


def test_an_instance_that_goes_while_it_is_read(runtime: Runtime) -> None:
    """A status in the midst of a switch says what it can."""
    about = runtime.about(RELEASE, runtime.read())
    assert (about["pid"], about["restarts"]) == (0, 0) and about["since"] > 0


def test_sockets_of_other_releases(runtime: Runtime) -> None:
    """One at which nobody listens any more is removed; a live one is another app's by now."""
    listen(runtime, SECOND, "/s")
    with socket.socket(socket.AF_UNIX) as public:
        public.bind(str(runtime.host.at("/s")))
        public.listen()
        runtime.instances.sweep(RELEASE)
        assert runtime.host.at("/s").exists()
    runtime.instances.sweep(RELEASE)
    assert not runtime.host.at("/s").exists()


def test_a_hook_of_a_killed_run(runtime: Runtime) -> None:
    """Whoever switches next waits for it, with or without a hook of its own."""
    with subprocess.Popen(["sleep", "0.3"]) as hook:
        born = Path(f"/proc/{hook.pid}/stat").read_text().rpartition(")")[2].split()[19]
        runtime.instances.file(RELEASE, "hook.pid").write_text(f"{hook.pid} {born} 0 0 0")
        runtime.await_hooks()
        assert Path(f"/proc/{hook.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_keeper_whose_place_another_has(tmp_path: Path) -> None:
    """It does not write down the end of its main process as that of the next one's."""
    (tmp_path / "cron").mkdir()
    (tmp_path / "cron/settings.json").write_text(json.dumps(settings().start))
    one = load_program("instance").Instance(tmp_path, "serve")
    one.folder = tmp_path
    one.ended(5, 9)
    one.file("pid").write_text("6 1 7 1 0")
    one.ended(5, 9)
    assert not one.file("end").exists()
    one.ended(6, 9)
    assert one.file("end").read_text() == "signal 9\n"


def test_whatever_goes_wrong_is_told() -> None:
    """A beginning that fails for a reason that nobody thought of does not pass for a success."""
    program = Path(load_program("keep").__file__ or "").parent
    script = f"import sys; sys.path[:0] = [{str(program)!r}]; import keep; sys.exit(keep.apart(lambda: {{}}['mode']))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (1, "KeyError('mode')\n")


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [({"socket_mode": "rw"}, "octal"), ({"socket_group": "a b"}, "group"), ({"backlog": 0}, "from 1")],
)
def test_wrong_settings(wrong: dict[str, object], problem: str) -> None:
    """What would only fail on the host is refused before it is contacted."""
    made = settings()
    [found] = type(made)(**{**vars(made), **wrong}).validate()
    assert found[0] in wrong and problem in found[1]
