"""nginx before an app that cron looks after: no part of it may count on systemd."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from carboy.sandbox import HostOptions
from tests.host.conftest import Site, site
from tests.support.load import load


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A host without systemd on which nginx has the public port."""
    with site(tmp_path_factory.mktemp("site"), HostOptions(variant="cron", publish_http=True)) as made:
        made.variables |= {"app_runtime": "cron", "app_proxy": "nginx", "app_listen": "/run/hello.sock"}
        made.variables |= {"nginx_port": 8000, "release_watch": "200ms"}
        made.invoke("deploy")
        yield made


def status(box: Site) -> int:
    """What a client gets."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{box.port}/health") as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        return refusal.code


def test_nothing_to_do_twice(box: Site) -> None:
    """A second deploy changes nothing."""
    assert box.invoke("deploy").changed == []


def test_update_under_load(box: Site) -> None:
    """An update, a change of nginx's own and a rollback refuse no request."""
    box.edit("app/factory.py", "Tell a probe", "Tell another probe")
    box.variables["nginx_gzip"] = False
    with load(box.port, clients=8) as result:
        box.invoke("deploy")
        box.invoke("rollback")
    assert not result.failures and len(result.releases) == 2


def test_maintenance(box: Site) -> None:
    """Clients see the page while it is on, and the app when it is off again."""
    seen = []
    for state in ("on", "off"):
        box.invoke("maintenance", state)
        seen.append(status(box))
    assert seen == [503, 200]


def test_killed_nginx(box: Site) -> None:
    """A deploy starts an nginx that is gone."""
    box.shell("pkill -9 nginx")
    assert box.invoke("deploy").changed != []
    assert status(box) == 200
