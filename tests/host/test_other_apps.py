"""Any Flask app by inventory alone: published ones without a source tree, one from git; and where they listen."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.host.conftest import Site
from tests.support.trees import fill

SERVER = ["gunicorn[gevent]==27.0.1", "gevent==26.9.0"]
PUBLISHED: dict[str, tuple[dict[str, Any], str, str]] = {
    # Its dependency greenlet is too old for today's gevent, so it also shows another worker class.
    "httpbin": (
        {
            "app_wsgi": "httpbin:app",
            "app_requires": ["httpbin==0.10.4", "gunicorn==27.0.1"],
            "app_health": "/status/200",
            "gunicorn_worker_class": "gthread",
        },
        "/uuid",
        "uuid",
    ),
    "oidc-provider-mock": (
        {
            "app_wsgi": "oidc_provider_mock:app()",
            "app_requires": ["oidc-provider-mock==0.3.4", *SERVER],
            "app_health": "/.well-known/openid-configuration",
        },
        "/.well-known/openid-configuration",
        "issuer",
    ),
}
SHOP = """
from flask import Flask


def create_app():
    app = Flask(__name__)
    app.add_url_rule("/well", view_func=lambda: {"version": %d})
    return app
"""
ASK = """
import http.client, socket, sys
where, path = sys.argv[1:]
connection = http.client.HTTPConnection("localhost", timeout=10)
connection.sock = socket.socket(socket.AF_UNIX if where.startswith("/") else socket.AF_INET)
connection.sock.connect(where if where.startswith("/") else ("127.0.0.1", int(where)))
connection.request("GET", path)
answer = connection.getresponse()
assert answer.status == 200, answer.status
print(answer.read().decode())
"""


def ask(site: Site, where: str, path: str) -> Any:
    """GET on the host itself, from a port or the path of a unix socket; returns the JSON."""
    return json.loads(site.host.container.exec("python3", "-c", ASK, where, path))


def git(folder: Path, *arguments: str) -> None:
    """Run git on a folder as somebody."""
    somebody = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.com"]
    subprocess.run(["git", "-C", str(folder), *somebody, *arguments], check=True, capture_output=True)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_app(fresh: Site, name: str) -> None:
    """An app from the package index, a WSGI object or a factory, is served without a source tree of its own."""
    variables, path, key = PUBLISHED[name]
    fresh.variables = {"app_source": "", **variables}
    fresh.invoke("deploy")
    assert key in ask(fresh, "8000", path)
    assert fresh.invoke("deploy").changed == []


def test_app_from_git(fresh: Site, tmp_path: Path) -> None:
    """A repository at a ref is what is served: that commit, whatever the branch and the working copy say by now."""
    needs = "\n".join(["flask==3.1.3", *SERVER])
    fill(tmp_path, {"shop/__init__.py": SHOP % 1, "requirements.txt": needs})
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "First")
    git(tmp_path, "tag", "v1")
    fill(tmp_path, {"shop/__init__.py": SHOP % 2})
    git(tmp_path, "commit", "--quiet", "-am", "Second")
    fill(tmp_path, {"shop/__init__.py": "not Python"})
    shop = {"app_source": str(tmp_path), "app_wsgi": "shop:create_app()", "app_requirements": "requirements.txt"}
    shop["app_health"] = "/well"
    for ref, version in (("HEAD", 2), ("v1", 1)):
        fresh.variables = {**shop, "app_ref": ref}
        fresh.invoke("deploy")
        assert ask(fresh, "8000", "/well") == {"version": version}
    [error] = fresh.invoke("deploy", "-e", "app_ref=v9", expect=3).of("error")
    assert "v9" in error["what"]


@pytest.mark.parametrize("listen", ["/run/web/hello.sock", "127.0.0.1:8001", "0.0.0.0:8000"])
def test_another_address(fresh: Site, listen: str) -> None:
    """A redeploy moves the app between ports and unix sockets, and gives up the old address."""
    fresh.variables = {"app_listen": listen}
    fresh.invoke("deploy")
    where = listen.rpartition(":")[2]
    assert ask(fresh, where, "/health")["status"] == "ok"
    assert fresh.invoke("deploy").changed == []
    assert fresh.shell("systemctl show --value -p Listen hello.socket") == f"{listen} (Stream)"
    assert fresh.shell("ss -Hlntx | grep -Ec ':800|web/hello.sock'") == "1"


def test_an_address_that_is_taken(fresh: Site) -> None:
    """If another program holds the new address, the old release goes on at the old one."""
    before = fresh.serving()
    fresh.variables = {"app_listen": "0.0.0.0:22"}
    [failed] = fresh.invoke("deploy", expect=1).of("failed")
    assert "serves again" in failed["hint"]
    assert "0.0.0.0:22 cannot be opened: another program listens there" in failed["what"]
    assert ask(fresh, "8000", "/health")["status"] == "ok"
    assert fresh.serving() == before


def test_other_settings_at_the_same_address(fresh: Site) -> None:
    """A setting of the socket takes effect at once, though what serves has to let go of the address first."""
    fresh.variables = {"systemd_backlog": 100}
    fresh.invoke("deploy")
    assert "100" in fresh.shell("ss -Hlnt 'sport = :8000'").split()
    assert ask(fresh, "8000", "/health")["status"] == "ok"
    assert fresh.invoke("deploy").changed == []
