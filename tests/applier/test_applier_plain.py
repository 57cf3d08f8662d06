"""File, Directory, Link: absent, repaired, no drift; drifted, repaired; reading touches nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from carboy.applier.directory import Directory
from carboy.applier.file import File
from carboy.applier.host import Host, link, write
from carboy.applier.link import Link
from carboy.applier.resource import Failure, Resource
from tests.applier.conftest import converge
from tests.support.controller import Controller
from tests.support.trees import OWNED, fill, snapshot

ROOT = Path(__file__).parents[2]
Declare = Callable[[Controller], Resource]

RESOURCES: dict[str, Declare] = {
    "file": lambda controller: File("/etc/app/app.conf", controller.offer(b"new\n"), mode="0640", **OWNED),
    "directory": lambda _: Directory("/srv/app", mode="0750", **OWNED),
    "link": lambda _: Link("/srv/app/current", "releases/1"),
}
SPOILERS: dict[str, Callable[[Path], object]] = {
    "content": lambda root: (root / "etc/app/app.conf").write_text("old\n"),
    "mode of the file": lambda root: (root / "etc/app/app.conf").chmod(0o666),
    "file gone": lambda root: (root / "etc/app/app.conf").unlink(),
    "mode of the directory": lambda root: (root / "srv/app").chmod(0o777),
    "link elsewhere": lambda root: link(root / "srv/app/current", "releases/0"),
    "link gone": lambda root: (root / "srv/app/current").unlink(),
}


@pytest.fixture
def declared(host: Host, controller: Controller) -> list[Resource]:
    """One of each, with the folders that they stand in."""
    (host.root / "etc/app").mkdir(parents=True)
    return [declare(controller) for declare in RESOURCES.values()]


@pytest.mark.parametrize("kind", RESOURCES)
def test_absent_is_repaired(host: Host, controller: Controller, kind: str) -> None:
    """What is absent drifts in every property; one repair makes all of it right."""
    (host.root / "etc/app").mkdir(parents=True)
    resource = RESOURCES[kind](controller)
    drift = converge(host, resource)
    assert set(drift) == set(resource.desired(host))
    assert all(current is None for current, _ in drift.values())
    assert not resource.drift(host)


@pytest.mark.parametrize("spoiler", SPOILERS)
def test_drift_is_repaired(host: Host, declared: list[Resource], spoiler: str) -> None:
    """Whatever somebody changed by hand shows as drift of one resource alone, and is repaired."""
    for resource in declared:
        converge(host, resource)
    SPOILERS[spoiler](host.root)
    assert len([resource for resource in declared if resource.drift(host)]) == 1
    for resource in declared:
        converge(host, resource)
    assert not any(resource.drift(host) for resource in declared)


def test_reading_touches_nothing(host: Host, declared: list[Resource]) -> None:
    """Reading drift, needs and title leaves every byte and time alone, on a fresh host and on a repaired one."""
    for _ in range(2):
        before = snapshot(host.root)
        for resource in declared:
            resource.drift(host), list(resource.lacks(host)), resource.title()
        assert snapshot(host.root) == before
        for resource in declared:
            converge(host, resource)


def test_right_content_is_never_asked_for(host: Host, controller: Controller, declared: list[Resource]) -> None:
    """A file whose mode alone differs is mended without its bytes, and is not written anew."""
    for resource in declared:
        converge(host, resource)
    path = host.root / "etc/app/app.conf"
    path.chmod(0o600)
    inode, asked = path.stat().st_ino, len(controller.wanted)
    converge(host, declared[0])
    assert (path.stat().st_ino, len(controller.wanted)) == (inode, asked)


def test_a_refused_draft_changes_nothing(host: Host, controller: Controller) -> None:
    """If the check refuses the new content, the old file stays, no draft is left, and the check's words are told."""
    fill(host.root, {"etc/app.conf": "old\n"})
    file = File("/etc/app.conf", controller.offer(b"new\n"), **OWNED, check="sh -c 'echo bad key in \"$0\"; exit 1' {}")
    with pytest.raises(Failure, match="refused the new content") as caught:
        converge(host, file)
    assert "bad key in" in caught.value.details
    assert {path.name: path.read_text() for path in (host.root / "etc").iterdir()} == {"app.conf": "old\n"}


def test_the_check_sees_the_new_content(host: Host, controller: Controller) -> None:
    """The path given to the check is that of the draft, not of the file in use."""
    fill(host.root, {"etc/app.conf": "old\n"})
    converge(host, File("/etc/app.conf", controller.offer(b"new\n"), **OWNED, check="grep -q new {}"))
    assert (host.root / "etc/app.conf").read_text() == "new\n"


IN_THE_WAY: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a folder for a file": ("file", lambda root: (root / "etc/app/app.conf").mkdir()),
    "a link for a file": ("file", lambda root: (root / "etc/app/app.conf").symlink_to("other")),
    "a file for a folder": ("directory", lambda root: fill(root, {"srv/app": "x"})),
    "a link for a folder": ("directory", lambda root: (root / "srv/app").symlink_to("../etc")),
    "a file for a link": ("link", lambda root: fill(root, {"srv/app/current": "x"})),
}


@pytest.mark.parametrize("obstacle", IN_THE_WAY)
def test_something_else_in_the_way(host: Host, controller: Controller, obstacle: str) -> None:
    """What is of another kind at the place is never replaced or followed: it stays, and a person must move it."""
    kind, place = IN_THE_WAY[obstacle]
    fill(host.root, {"etc/app/other": "x", "srv/other": "x"})
    place(host.root)
    before = [snapshot(host.root / folder) for folder in ("etc", "srv")]
    with pytest.raises(Failure) as caught:
        converge(host, RESOURCES[kind](controller))
    assert "move it away" in caught.value.hint
    assert [snapshot(host.root / folder) for folder in ("etc", "srv")] == before


def test_an_unknown_owner_is_a_failure_with_a_hint(host: Host) -> None:
    """An owner whom the host does not know is named, and no traceback is shown."""
    with pytest.raises(Failure, match="nobody-of-this-name") as caught:
        converge(host, Directory("/srv/app", owner="nobody-of-this-name"))
    assert "declare the user" in caught.value.hint


def test_secret_content_never_shows_in_a_diff(host: Host, controller: Controller) -> None:
    """The diff of a secret file says that it differs and nothing of what it holds; another one's diff is unified."""
    blob = controller.offer(b"password=hunter2\n")
    host.fetch([blob.need])
    assert "hunter2" not in File("/etc/secret", blob, secret=True).diff(host)
    assert "+password=hunter2" in File("/etc/open", blob).diff(host)


KILLED = """
import os, signal, sys
from pathlib import Path
from carboy.applier import host
os.replace = lambda draft, path: os.kill(os.getpid(), signal.SIGKILL)
host.write(Path(sys.argv[1]), b"new")
"""


def test_a_kill_before_the_rename_leaves_the_old_file(tmp_path: Path) -> None:
    """A writer that is killed with everything written but the rename leaves the old content; the next one succeeds."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], cwd=ROOT)
    assert (done.returncode, path.read_bytes()) == (-signal.SIGKILL, b"old")
    assert len(list(tmp_path.iterdir())) == 2, "the draft should lie beside the file, or nothing was tested"
    write(path, b"newer", 0o600)
    assert (path.read_bytes(), path.stat().st_mode & 0o777, list(tmp_path.iterdir())) == (b"newer", 0o600, [path])


def test_what_is_foreseen_is_told_once(host: Host) -> None:
    """The next call is given what was begun before; the one after it finds out how things are by then."""
    count = ("sh", "-c", f"echo >>{host.root}/calls; wc -l <{host.root}/calls")
    host.foresee(*count)
    assert [host.run(*count).strip() for _ in range(2)] == ["1", "2"]
