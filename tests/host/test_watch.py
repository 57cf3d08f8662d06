"""A release that is well when it joins and sick soon after: what served before serves again at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.host.conftest import Site
from tests.support.load import load

HEALTHY = 'return {"status": "ok", "release": current_app.config["RELEASE"]}'
# When a second release has joined, the one that is watched is serving.
JOINED = "[ $(ls /run/hello-probe | wc -l) = 2 ]"
SOON = f"(until {JOINED}; do sleep 0.05; done; sleep 1.5; touch /srv/hello/shared/%s) >/dev/null 2>&1 &"
FACTORY = "app/factory.py"


@pytest.fixture(scope="module")
def watched(deployed: Site) -> Site:
    """A host on which a switch is watched for five seconds."""
    deployed.variables["release_watch"] = 5
    return deployed


@pytest.fixture
def source(watched: Site) -> Iterator[Site]:
    """The app as it was is put back after a test."""
    kept = (watched.app / FACTORY).read_text()
    yield watched
    (watched.app / FACTORY).write_text(kept)


def main_process(site: Site) -> str:
    """The pid of what serves now: equal before and after means that it was never stopped."""
    return site.shell(f"systemctl show -P MainPID hello@{site.serving()[0]}.service").strip()


def sicken(site: Site, condition: str, what: str) -> None:
    """Let the app turn sick when a file appears that a test makes."""
    site.edit(FACTORY, HEALTHY, f"if os.path.exists('/srv/hello/shared/{condition}'):\n        {what}\n    {HEALTHY}")


def test_unhealthy_while_it_is_watched(source: Site) -> None:
    """The old release was not stopped yet and serves alone again; no request fails."""
    before, pid = source.serving(), main_process(source)
    sicken(source, "sick", 'return {"status": "sick"}, 503')
    source.shell(SOON % "sick")
    with load(source.port) as result:
        [failed] = source.invoke("deploy", expect=1).of("failed")
    assert "503" in failed["what"] and before[0] in failed["hint"]
    assert result.failures == [] and len(result.releases) == 2
    assert (source.serving(), main_process(source)) == (before, pid)


def test_crashing_while_it_is_watched(source: Site) -> None:
    """A restart is a breach even if it helped."""
    before = source.serving()
    sicken(source, "crash", "os.remove('/srv/hello/shared/crash'); os.kill(os.getppid(), 9)")
    source.shell(SOON % "crash")
    [failed] = source.invoke("deploy", expect=1).of("failed")
    assert "did not stay up" in failed["what"] or "not healthy" in failed["what"]
    assert source.serving() == before


def test_errors_in_the_access_log(source: Site) -> None:
    """A release that says it is well and answers the public with errors is taken back; the share is in the message."""
    before, pid = source.serving(), main_process(source)
    source.edit(FACTORY, "    time.sleep(0.1)\n", "    time.sleep(0.1)\n    raise RuntimeError('no such table')\n")
    with load(source.port) as result:
        [failed] = source.invoke("deploy", expect=1).of("failed")
    assert "answers since it joined were errors of the server" in failed["what"]
    assert "no such table" in failed["details"]
    assert all("500" in failure for failure in result.failures) and result.failures
    assert (source.serving(), main_process(source)) == (before, pid)


def test_errors_that_are_allowed(source: Site) -> None:
    """With a share of 100 % errors are the app's own business."""
    source.edit(FACTORY, "    time.sleep(0.1)\n", "    time.sleep(0.1)\n    raise RuntimeError('no such table')\n")
    with load(source.port):
        source.invoke("deploy", "-e", "release_max_errors=100")
    source.invoke("rollback")
