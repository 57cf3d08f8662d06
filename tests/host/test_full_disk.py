"""A disk without room: nothing is half done, what served serves on, and the next deploy after tidying up converges."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from carboy.sandbox import HostOptions
from tests.host.conftest import Site, site
from tests.support.load import load

WHOLE_RELEASES = "ls -d /srv/hello/releases/*/release.json /srv/hello/venvs/*/carboy.json 2>/dev/null | wc -l"
BLOBS = "/var/lib/carboy/blobs/hello"
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
    """The error says how much is free where, no half-built venv keeps the rest, and with room the deploy goes well."""
    [failed] = small.invoke("deploy", expect=1).of("failed")
    assert "No space left" in failed["what"] + failed["details"]
    assert "/srv: " in failed["details"] and "MB" in failed["details"]
    assert small.shell(WHOLE_RELEASES) == "0"
    assert int(small.shell("df --output=pcent /srv | tail -1").strip(" %\n")) < 50
    small.shell("mount -o remount,size=120m /srv")
    small.invoke("deploy")
    assert small.invoke("deploy").changed == []


@pytest.mark.parametrize("change", CHANGES)
def test_no_room_for_the_next_release(small: Site, change: tuple[str, str, str]) -> None:
    """A release or a venv that does not fit is given up; the old release never notices."""
    before = small.serving()
    small.edit(*change)
    small.shell("dd if=/dev/zero of=/srv/full bs=4k 2>/dev/null || true")
    with load(small.port) as result:
        [failed] = small.invoke("deploy", expect=1).of("failed")
    assert "No space left" in failed["what"] + failed["details"]
    assert result.failures == []
    assert small.serving() == before
    small.shell("rm /srv/full")
    small.invoke("deploy")
    assert small.serving() != before


def test_no_room_for_what_arrives(small: Site) -> None:
    """Where the bytes themselves do not fit, nothing was begun, and the error says so."""
    before = small.serving()
    small.edit("app/wsgi.py", "app = create_app()", "app = create_app()\n\n")
    small.shell(f"mount -t tmpfs -o size=64k none {BLOBS}; dd if=/dev/zero of={BLOBS}/x || true")
    [failed] = small.invoke("deploy", expect=1).of("failed")
    small.shell("umount " + BLOBS)
    assert "No space left" in failed["what"] and "/var/lib: " in failed["details"]
    assert small.serving() == before
    small.invoke("deploy")
