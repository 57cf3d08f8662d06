"""Room: what a run will write is added up by file system before anything is unpacked, and refused in plain words."""

from __future__ import annotations

import compileall
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from carboy.applier.host import Host
from carboy.applier.prune import amount
from carboy.applier.resource import Failure, Resource, Weight
from carboy.applier.room import RESERVE_BYTES, check, weight
from tests.support.trees import fill


@dataclass(frozen=True)
class Heavy(Resource):
    """A resource that will write so much below a folder."""

    path: str
    bytes: int = 0
    inodes: int = 0

    def weighs(self, host: Host) -> Iterator[Weight]:
        """As it was declared."""
        yield host.at(self.path), self.bytes, self.inodes


@pytest.fixture
def app(host: Host) -> Host:
    """A host that works on an app."""
    host.args["app"] = "app"
    return host


def free(host: Host) -> int:
    """Bytes that are free where the host lies."""
    found = os.statvfs(host.root)
    return found.f_bavail * found.f_frsize


def test_what_fits_is_not_refused(app: Host) -> None:
    """Little enough passes, and nothing is touched."""
    check(app, [Heavy("/srv/app/venvs", 1 << 20, 100)], [{"blob": "x", "size": 1000}, {"wheels": {}}])
    assert list(app.root.iterdir()) == []


def test_what_lies_in_one_file_system_is_added_up(app: Host) -> None:
    """Two that would fit alone do not fit together, whatever folders they are for; nor do bytes that still arrive."""
    part = free(app) // 10 * 6
    check(app, [Heavy("/srv/app/venvs", part)], [])
    for resources, needs in (
        ([Heavy("/srv/app/venvs", part), Heavy("/opt/not/there", part)], []),
        ([Heavy("/srv/app/venvs", part)], [{"blob": "x", "size": part}]),
    ):
        with pytest.raises(Failure) as caught:
            check(app, resources, needs)
        needed = float(caught.value.what.split()[5])
        assert needed == pytest.approx(2 * part / 1e6 + RESERVE_BYTES / 1e6, abs=0.1)


def test_inodes_run_out_too(app: Host) -> None:
    """Many small files are refused where there are no inodes for them."""
    found = os.statvfs(app.root)
    if not found.f_files:
        pytest.skip("this file system makes inodes as they are needed")
    with pytest.raises(Failure, match=r"inodes needed, \d+ free"):
        check(app, [Heavy("/srv/app", 0, found.f_favail)], [])


def test_the_refusal_says_what_takes_room_and_what_may_go(app: Host) -> None:
    """Kept releases, venvs and logs with their sizes; and by name what no rollback needs."""
    fill(app.root, {"srv/app/releases/r1/release.json": "{}", "var/log/app/access.log": "x" * 100_000})
    with pytest.raises(Failure) as caught:
        check(app, [Heavy("/srv/app", free(app))], [])
    assert "/srv/app/releases takes 0.0 MB" in caught.value.details
    assert "/var/log/app takes 0.1 MB" in caught.value.details
    assert caught.value.hint.endswith("/srv/app/releases/r1")


def test_what_killed_runs_left_is_removed_before_a_refusal(app: Host) -> None:
    """Half-built releases and venvs, and half-received bytes, do not stand in the way; what is complete stays."""
    app.blobs.mkdir(parents=True)
    left = {"releases/half/tree/a.py": "", "venvs/half/bin/python": "", "venvs/v/carboy.json": "{}"}
    fill(app.at("/srv/app"), {**left, "releases/whole/release.json": '{"venv": "unmarked"}', "venvs/unmarked/x": ""})
    fill(app.blobs, {"1.part": "", "2": ""})
    check(app, [], [])
    assert len(list(app.blobs.iterdir())) == 2, "as long as there is room nothing is touched"
    with pytest.raises(Failure):
        check(app, [Heavy("/srv/app", free(app))], [])
    kept = {path.name for folder in ("releases", "venvs") for path in app.at("/srv/app/" + folder).iterdir()}
    assert kept == {"whole", "unmarked", "v"}
    assert [path.name for path in app.blobs.iterdir()] == ["2"]


def test_weight_is_what_files_take(tmp_path: Path) -> None:
    """The estimate is never less than what the files and their bytecode take in the end, nor half as much more."""
    source = Path(os.__file__).parent
    files = {path.relative_to(source): path.read_bytes() for path in [*source.glob("*.py"), *source.glob("json/*.py")]}
    for name, data in files.items():
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_bytes(data)
    compileall.compile_dir(tmp_path / "tree", quiet=2)
    os.sync()
    size, inodes = amount([tmp_path / "tree"])
    estimated = weight((str(name), len(data)) for name, data in files.items())
    assert size <= estimated[0] < size * 1.5
    assert inodes <= estimated[1] < inodes * 1.1
