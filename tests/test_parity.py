"""One specification of an app, whatever runs it: the same in all runtimes, and nothing of it ignored by any."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from carboy import source
from carboy.catalog import Catalog, Content
from carboy.declaration import RUNTIMES, declare
from carboy.errors import DeclarationError
from carboy.inventory import Host
from carboy.payload import pack, runtime_modules
from carboy.project import ROOT
from roles.app import Settings as App
from tests.support.trees import fill

ACCESS_LOG = ROOT / "templates/servers/carboy_access_log.py"
NEEDED: dict[str, dict[str, Any]] = {
    "kubernetes": {
        "image_registry": "images.example",
        "image_build": "controller",
        "kubernetes_context": "prod",
        "kubernetes_namespace": "shop",
    },
}
"""What a runtime cannot do without."""
OTHER: dict[str, Any] = {
    "wsgi": "app.wsgi:other",
    "name": "goodbye",
    "server": "gevent",
    "proxy": "nginx",
    "development": True,
    "domain": "shop.example.com",
    "source": "elsewhere",
    "ref": "v1",
    "include": ["app", "requirements.txt"],
    "exclude": ["*.html"],
    "requirements": "other.txt",
    "requires": ["click"],
    "packages_from": "index",
    "python": "python3.12",
    "listen": "127.0.0.1:9000",
    "health": "/other",
    "environment": {"A": "1"},
    "secrets": {"A": "1"},
    "secrets_as": "files",
    "start_timeout": 77,
    "stop_timeout": 77,
    "memory_max": "321M",
    "cpus": 1.5,
    "tasks_max": 77,
    "open_files": 7777,
}
"""For each key of the app's specification another value than the usual one."""
SAID: dict[str, Any] = {
    "app_environment": {"GREETING": "good morning"},
    "app_listen": "0.0.0.0:8123",
    "app_health": "/ready",
    "app_stop_timeout": "41s",
    "app_memory_max": "321M",
    "app_cpus": 1.5,
    "app_tasks_max": 77,
    "app_open_files": 7777,
}
WRITTEN: dict[str, dict[str, str]] = {
    "systemd": {
        "environment": 'GREETING="good morning"',
        "port": "ListenStream=0.0.0.0:8123",
        "health": '"health": "/ready"',
        "grace": "graceful_timeout = 41",
        "kill": "TimeoutStopSec=51",
        "memory": "MemoryMax=336592896",
        "cpus": "CPUQuota=150%",
        "tasks": "TasksMax=77",
        "files": "LimitNOFILE=7777",
        "user": "User=hello",
    },
    "cron": {
        "environment": 'GREETING="good morning"',
        "port": "listen=0.0.0.0:8123",
        "health": '"health": "/ready"',
        "grace": "graceful_timeout = 41",
        "kill": "stop_timeout=51",
        "tasks": '"tasks_max": 77',
        "files": '"open_files": 7777',
        "user": '"app": "hello"',
    },
    "compose": {
        "environment": 'GREETING="good morning"',
        "port": "0.0.0.0:8123:8123",
        "health": '"health": "/ready"',
        "grace": "graceful_timeout = 41",
        "kill": "stop_grace_period: 51s",
        "memory": "memory: 336592896b",
        "cpus": 'cpus: "1.5"',
        "tasks": "pids: 77",
        "files": "hard: 7777",
        "user": "user: ${CARBOY_USER}",
    },
    "kubernetes": {
        "environment": '\\"GREETING\\": \\"good morning\\"',
        "port": '\\"containerPort\\": 8123',
        "health": '\\"path\\": \\"/ready\\"',
        "grace": "graceful_timeout = 41",
        "kill": '\\"terminationGracePeriodSeconds\\": 56',
        "memory": '\\"memory\\": \\"336592896\\"',
        "cpus": '\\"cpu\\": \\"1500m\\"',
        "user": '\\"runAsUser\\": 10001',
    },
}
"""How each runtime writes what was said; what is lacking there it refuses."""
ALONG: dict[str, dict[str, Any]] = {
    "proxy": {"app_listen": "/run/hello/web.sock"},
    "domain": {"app_listen": "/run/hello/web.sock", "app_proxy": "nginx"},
    "secrets_as": {"app_secrets": {"A": "1"}},
}
"""What a key needs beside itself, under its usual value too."""
IN_PODS: dict[str, dict[str, Any]] = {"secrets_as": {"kubernetes_secrets": {"A": "shop/a"}}}
REFUSALS = [(runtime, key) for runtime in RUNTIMES for key in getattr(import_module(f"roles.{runtime}"), "REFUSES", {})]


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The source of an app, which it is with any other value too: a git repository, and a folder beside it."""
    monkeypatch.setattr(source, "CHECKOUTS", tmp_path / "checkouts")
    repository = tmp_path / "repository"
    files = {"app/wsgi.py": "app = other = None\n", "app/x.html": "x", "requirements.txt": "flask\n"}
    fill(tmp_path / "elsewhere", files)
    fill(repository, {**files, "more.txt": "x", "other.txt": "flask==3.1.0\n"})
    for command in ("init", "add -A", "-c user.name=x -c user.email=x@example.com commit -m x", "tag v1"):
        subprocess.run(["git", *command.split()], cwd=repository, check=True, capture_output=True)
    fill(repository, {"app/wsgi.py": "app = other = changed = None\n"})
    return repository


def catalog(runtime: str, app: Path, **changes: Any) -> Catalog:
    """What a host gets."""
    common = {"app_wsgi": "app.wsgi:app", "app_name": "hello", "app_source": str(app), "app_runtime": runtime}
    return declare(Host("box", {**common, **NEEDED.get(runtime, {}), **changes}, {})).catalog


def rendered(found: Catalog) -> str:
    """All that travels for a catalog, as one text."""
    blobs = (data if isinstance(data, bytes) else data.read_bytes() for data in found.blobs.values())
    return json.dumps(found.wire()) + "".join(data.decode("utf-8", "replace") for data in blobs)


def test_every_key_is_tried() -> None:
    """The table above has another value for each key of the specification but the runtime and the file of secrets."""
    assert set(OTHER) == {field.name for field in fields(App)} - {"runtime", "secrets_file"}


@pytest.mark.parametrize("key", OTHER)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_no_key_is_ignored(runtime: str, key: str, app: Path) -> None:
    """Another value of any key changes what the host gets, or is refused with the key's name."""
    # An Ingress is the only proxy that pods have, and a socket file none that it could reach.
    along, other = IN_PODS.get(key, {}) if runtime == "kubernetes" else ALONG.get(key, {}), OTHER[key]
    other = str(app.with_name(other)) if key == "source" else other
    try:
        usual = rendered(catalog(runtime, app, **along))
        changed = rendered(catalog(runtime, app, **{**along, f"app_{key}": other}))
    except DeclarationError as refusal:
        assert f"app_{key}" in refusal.what + refusal.where
        return
    assert changed != usual


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_no_secret_is_ignored(runtime: str, app: Path, tmp_path: Path) -> None:
    """A file of secrets changes what the host gets, or is refused."""
    (tmp_path / "secrets.yml").write_text("TOKEN: sentinel-secret\n")
    try:
        changed = catalog(runtime, app, app_secrets_file=str(tmp_path / "secrets.yml"))
    except DeclarationError as refusal:
        assert "app_secrets_file" in refusal.what
        return
    assert "sentinel-secret" in rendered(changed) and "sentinel-secret" not in json.dumps(changed.wire())


@pytest.mark.parametrize("form", ["environment", "files"])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_no_source_of_a_secret_is_ignored(runtime: str, form: str, app: Path) -> None:
    """A secret of the inventory is among what a host gets and in no text that everybody may read, or is refused."""
    try:
        changed = catalog(runtime, app, app_secrets={"TOKEN": "sentinel-secret"}, app_secrets_as=form)
    except DeclarationError as refusal:
        assert "app_secrets" in refusal.what and refusal.hint
        return
    assert "sentinel-secret" in rendered(changed) and "sentinel-secret" not in json.dumps(changed.wire())
    assert ("TOKEN_FILE" in rendered(changed) or '"TOKEN"' in rendered(changed)) is (form == "files")


@pytest.mark.parametrize(("runtime", "key"), REFUSALS)
def test_a_refusal_says_why_and_what_to_do(runtime: str, key: str, app: Path) -> None:
    """What a runtime cannot do is an error with the reason, the place, and a way out."""
    value = {**OTHER, "secrets_file": str(app / "secrets.yml")}[key]
    with pytest.raises(DeclarationError) as caught:
        catalog(runtime, app, **{f"app_{key}": value})
    assert caught.value.exit_code == 3
    assert re.match(f"app_{key} is not for app_runtime {runtime}: .+", caught.value.what)
    assert caught.value.hint


def test_a_finished_image_is_not_also_built(app: Path) -> None:
    """Where an image is named, what would decide how it is built is refused and not ignored."""
    with pytest.raises(DeclarationError, match="app_source") as caught:
        catalog("kubernetes", app, kubernetes_image="images.example/hello:1")
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(("runtime", "what"), [(runtime, what) for runtime, each in WRITTEN.items() for what in each])
def test_what_is_said_is_the_same_everywhere(runtime: str, what: str, app: Path) -> None:
    """Environment, port, health path, time to stop, limits and user are what was said, in each runtime's own words."""
    refused = import_module(f"roles.{runtime}").REFUSES if runtime != "systemd" else {}
    said = {name: value for name, value in SAID.items() if name.removeprefix("app_") not in refused}
    assert WRITTEN[runtime][what] in rendered(catalog(runtime, app, **said))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_log_has_one_form(runtime: str, app: Path) -> None:
    """Wherever the app runs, the same code writes its access log."""
    assert Content.of(ACCESS_LOG).sha256 in catalog(runtime, app).blobs


@pytest.mark.parametrize("proxy", ["none", "nginx"])
@pytest.mark.parametrize("runtime", [name for name in RUNTIMES if name != "kubernetes"])
def test_an_unchanged_host_is_sent_little(runtime: str, proxy: str, app: Path) -> None:
    """What a host needs to see that nothing has changed fits into 20 kB, whatever runs the app there."""
    front = {"app_listen": "/run/hello.sock", "nginx_certificate": "self-signed"} if proxy == "nginx" else {}
    found = catalog(runtime, app, app_proxy=proxy, **front)
    args = {"catalog": found.wire(), "check": False, "app": "hello", "run": "r" * 23, "holder": {}, "runtime": runtime}
    assert len(pack("apply", args, (*found.modules, *runtime_modules(runtime)))) < 20_000
