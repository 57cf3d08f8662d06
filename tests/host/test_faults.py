"""A full disk, a network that loses packets and a clock that jumps: the host serves, and the next deploy converges."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from random import Random

import pytest

from tests.host.conftest import Site
from tests.host.test_interrupts import await_host, await_progress, start
from tests.support.faults import Walk, full_disks
from tests.support.faults.net import loss
from tests.support.load import load

SEED = os.environ.get("CARBOY_SEED") or secrets.token_hex(4)
SAMPLE = 2
DAY = 86400
DEAD_SECONDS = 30
RUNS, BLOBS = "/var/lib/carboy/runs", "/var/lib/carboy/blobs/hello"


@pytest.fixture(scope="module")
def walk(fresh: Site) -> Walk:
    """A host on which one release serves and another one served before."""
    fresh.variables |= {"release_keep": 2, "release_watch": "200ms"}
    fresh.invoke("deploy")
    made = Walk(fresh)
    made.count("line")
    return made


@pytest.fixture
def loaded(walk: Walk) -> Iterator[Walk]:
    """The host with a change to deploy, under load; no request may fail."""
    walk.change()
    with load(walk.site.port, clients=4) as result:
        yield walk
    walk.blame(result.failures)
    found, walk.problems = walk.problems, []
    assert not found, f"CARBOY_SEED={SEED}\n" + "\n".join(found)


@pytest.mark.parametrize("scenario", ["line", "rollback"])
def test_disk_full_from_any_write_on(loaded: Walk, scenario: str) -> None:
    """Wherever the room ends, the run says so, one release serves, and with room again a deploy converges."""
    points = full_disks(scenario, loaded.count(scenario).report)
    for point in Random(SEED + scenario).sample(points, SAMPLE):
        loaded.harm(point)


def test_no_room_for_the_run_file(loaded: Walk) -> None:
    """A run that cannot write down its events says so before anything is changed, or goes to its end without."""
    site = loaded.site
    site.shell(f"mount -t tmpfs -o size=16k none {RUNS}; dd if=/dev/zero of={RUNS}/x 2>/dev/null || true")
    ended = site.invoke("deploy", expect=None)
    site.shell("umount " + RUNS)
    assert ended.code in (0, 1) and ended.of("end")
    assert loaded.look(1).problems == []
    site.invoke("deploy")


@pytest.mark.parametrize("step", [-3600, 3600, -DAY, DAY, None], ids=["-1h", "+1h", "-1d", "+1d", "1970"])
def test_clock_that_jumps(loaded: Walk, step: int | None) -> None:
    """Whatever the clock says since the last run: a deploy, another, a rollback and a deploy do what they should."""
    now = time.time()
    clock = {"at": "", "nth": 0, "since": now, "clock": DAY - now if step is None else step}
    [before] = loaded.site.serving()
    [switch] = loaded.through(clock, "deploy").of("cutover")
    assert loaded.through(clock, "deploy").changed == []
    assert loaded.through(clock, "rollback").of("cutover")[0]["release"] == before
    assert loaded.through(clock, "deploy").of("cutover")[0]["release"] == switch["release"]


@pytest.mark.parametrize("seconds", [3600, DAY])
def test_clock_that_was_ahead(loaded: Walk, seconds: int) -> None:
    """Units from the future, as a clock leaves them that was set back, are put right once and then accepted."""
    site = loaded.site
    site.shell(f"touch -d '+{seconds} seconds' /etc/systemd/system/hello*.service /etc/systemd/system/hello*.socket")
    site.invoke("deploy")
    assert site.invoke("deploy").changed == []
    site.invoke("rollback")


def test_cut_off_while_the_host_works(loaded: Walk) -> None:
    """A network that dies is noticed in time, as an outcome that is unknown; the host finishes alone."""
    before = loaded.site.serving()
    run = start(loaded.site)
    await_progress(run, "joins the public socket")
    with loss(loaded.site.host.container):
        began = time.monotonic()
        said = run.communicate()[0]
        assert time.monotonic() - began < DEAD_SECONDS
        assert run.returncode == 4 and "outcome unknown" in said
        assert loaded.look(DEAD_SECONDS).problems == []
    assert loaded.site.invoke("deploy").changed == []
    assert loaded.site.serving() != before


def test_cut_off_while_bytes_are_sent(loaded: Walk) -> None:
    """Before the host has all that it needs it was never touched; the lock is free soon after, without any help."""
    before = loaded.site.shell("ls /srv/hello/releases")
    big = loaded.site.app / "app/big"
    big.write_bytes(Random(SEED).randbytes(80 << 20))
    run = start(loaded.site)
    await_host(loaded.site, f"ls {BLOBS}/*.part")
    with loss(loaded.site.host.container):
        began = time.monotonic()
        assert "outcome unknown" in run.communicate()[0]
        assert run.returncode == 4 and time.monotonic() - began < DEAD_SECONDS
        assert loaded.look(DEAD_SECONDS).problems == []
    big.unlink()
    assert loaded.site.shell("ls /srv/hello/releases") == before
    loaded.site.invoke("deploy")


def test_lossy_line(loaded: Walk) -> None:
    """With every fifth packet lost a deploy takes longer, and goes well."""
    with loss(loaded.site.host.container, 0.2):
        # By chance alone several packets of a login are lost in a row, and each is sent again later than the last.
        loaded.site.invoke("deploy", "-e", "ansible_timeout=60")
