"""Every server on a real host: each takes over from another under load, and gives way to it again."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.host.conftest import Site
from tests.support.load import load

KINDS = {
    "gunicorn-gthread": ["app_server=gunicorn", "gunicorn_worker_class=gthread", "gunicorn_threads=16"],
    "gunicorn-sync": ["app_server=gunicorn", "gunicorn_worker_class=sync", "gunicorn_workers=4"],
    "gevent": ["app_server=gevent"],
    "flask": ["app_server=flask", "app_development=true"],
}
NO_SERVER = "flask==3.1.3\n"


@pytest.fixture(scope="module")
def site(fresh: Site) -> Iterator[Site]:
    """A host whose app names no server in its requirements, and is served by gunicorn with gevent."""
    (fresh.app / "app/requirements.txt").write_text(NO_SERVER)
    [refused] = fresh.invoke("deploy", *_extra("app_server=flask"), expect=3).of("error")
    assert "flask is a server for development" in refused["what"] and "app_development" in refused["hint"]
    assert "hello" not in fresh.shell("ls /srv")
    fresh.invoke("deploy")
    yield fresh


def _extra(*settings: str) -> list[str]:
    return [word for setting in settings for word in ("-e", setting)]


def command(site: Site) -> str:
    """What the main process of the one release that serves was started as."""
    [release] = site.serving()
    pid = site.shell(f"systemctl show -P MainPID hello@{release}.service").strip()
    return site.shell(f"tr '\\0' ' ' </proc/{pid}/cmdline")


@pytest.mark.parametrize("kind", KINDS)
def test_takes_over_under_load(site: Site, kind: str) -> None:
    """A release with another server loses no request; its lines of the access log are like those of any other."""
    with load(site.port) as result:
        deploy = site.invoke("deploy", *_extra(*KINDS[kind]))
    assert result.failures == [] and len(result.releases) == 2
    [serving] = site.invoke("status").of("serving")
    assert serving["health"].startswith("200") and serving["release"] == result.releases[-1]
    lines = [json.loads(line) for line in site.shell("cat /var/log/hello/access.log").splitlines()]
    mine = [line for line in lines if line["release"] == result.releases[-1] and line["request_path"] == "/test"]
    assert mine and all(line.keys() == lines[0].keys() and line["status_code"] == 200 for line in mine)
    assert bool(deploy.of("warning")) == serving["development"] == (kind == "flask")


def test_gives_way_under_load(site: Site) -> None:
    """A rollback brings back the release with its own server, and loses no request; gevent is exactly one process."""
    assert "carboy_flask.py" in command(site)
    with load(site.port) as result:
        site.invoke("rollback")
    assert result.failures == [] and len(result.releases) == 2
    assert "carboy_gevent.py" in command(site)
    assert site.shell("pgrep -c -u hello").strip() == "1"
