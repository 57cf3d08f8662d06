"""A disk without room: nothing is half done, what served serves on, and the next deploy after tidying up converges."""

from __future__ import annotations

import random
from collections.abc import Iterator
from threading import Thread

import pytest

from carboy.sandbox import HostOptions
from tests.host.conftest import Site, site
from tests.support.load import load

WHOLE_RELEASES = "ls -d /srv/hello/releases/*/release.json /srv/hello/venvs/*/carboy.json 2>/dev/null | wc -l"
BLOBS = "/var/lib/carboy/blobs/hello"
FILL = "dd if=/dev/zero of=/srv/full bs=4k 2>/dev/null || true"
# On the host itself, for a venv is soon built.
WITH_THE_NEXT_VENV = 'cd /srv/hello/venvs; before=$(ls); until [ "$(ls)" != "$before" ]; do :; done; '
SHORTAGES = [
    (FILL, "rm /srv/full", " MB free"),
    (
        "mount -o remount,nr_inodes=$(($(df --output=iused /srv | tail -n 1) + 20)) /srv",
        "mount -o remount,nr_inodes=50000 /srv",
        " inodes needed, 20 free",
    ),
]
CHANGES = [
    ("app/wsgi.py", "app = create_app()", "app = create_app()\n"),
    ("app/requirements.txt", "flask", "itsdangerous==2.2.0\nflask"),
]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A host with 8 MB in /srv."""
    with site(tmp_path_factory.mktemp("site"), HostOptions(publish_http=True, tmpfs={"/srv": 8})) as made:
        yield made


def test_first_deploy_without_room(small: Site) -> None:
    """The error says how much is lacking where, before anything was changed; with room the deploy goes well."""
    [failed] = small.invoke("deploy", expect=1).of("failed")
    assert failed["what"].startswith("not enough room on /srv: ") and "MB needed, " in failed["what"]
    assert small.shell("ls -A /srv; getent passwd hello || true") == ""
    small.shell("mount -o remount,size=120m /srv")
    small.invoke("deploy")
    assert small.invoke("deploy").changed == []


@pytest.mark.parametrize(("shortage", "relief", "words"), SHORTAGES)
@pytest.mark.parametrize("change", CHANGES)
def test_no_room_for_the_next_release(
    small: Site, change: tuple[str, str, str], shortage: str, relief: str, words: str
) -> None:
    """A release or a venv that will not fit is not begun; the old release never notices."""
    before = small.serving()
    name, old, new = change
    small.edit(name, old, new.replace("itsdangerous==2.2.0", "click==8.1.8") if "inodes" in words else new)
    small.shell(shortage)
    listing = small.shell("find /srv/hello | sort")
    with load(small.port) as result:
        [failed] = small.invoke("deploy", expect=1).of("failed")
    assert words in failed["what"] and "/srv/hello/venvs takes " in failed["details"]
    assert result.failures == []
    assert small.serving() == before and small.shell("find /srv/hello | sort") == listing
    small.shell(relief)
    small.invoke("deploy")
    assert small.serving() != before


def test_what_fills_the_disk_meanwhile(small: Site) -> None:
    """If others take the room while the host builds, what was half built is given up, and the error says why."""
    before = small.serving()
    small.edit("app/requirements.txt", "flask", "blinker==1.9.0\nflask")
    filling = Thread(target=small.shell, args=(WITH_THE_NEXT_VENV + FILL,))
    filling.start()
    [failed] = small.invoke("deploy", expect=1).of("failed")
    filling.join()
    assert "No space left" in failed["what"] + failed["details"], failed
    assert small.serving() == before
    assert small.shell(WHOLE_RELEASES) == small.shell("ls -d /srv/hello/releases/* /srv/hello/venvs/* | wc -l")
    small.shell("rm /srv/full")
    small.invoke("deploy")


def test_no_room_for_what_arrives(small: Site) -> None:
    """Where the bytes themselves do not fit, nothing was begun, and the error says so; they are not even sent."""
    before = small.serving()
    (small.app / "app/big").write_bytes(random.randbytes(4 << 20))
    small.shell(f"mount -t tmpfs -o size=4m none {BLOBS}")
    [failed] = small.invoke("deploy", expect=1).of("failed")
    assert failed["what"].startswith(f"not enough room on {BLOBS}: ")
    assert int(small.shell(f"du -sk {BLOBS}").split()[0]) < 500
    small.shell(f"dd if=/dev/zero of={BLOBS}/x || true")
    [failed] = small.invoke("deploy", expect=1).of("failed")
    small.shell("umount " + BLOBS)
    assert failed["what"].endswith(" 0.0 MB free") and f"{BLOBS} takes " in failed["details"]
    assert small.serving() == before
    small.invoke("deploy")
