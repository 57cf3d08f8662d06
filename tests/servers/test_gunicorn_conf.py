"""gunicorn's configuration file: what it says, and that nothing rendered into it can say more."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2
import pytest
from jinja2 import UndefinedError
from served import HERE, KINDS, ROOT, Served

BREAKOUT = '"\'\n\\"""; raise SystemExit(7) #'


def settings(log_dir: Path, **changes: Any) -> SimpleNamespace:
    """Return every setting that the template may read, with some changed."""
    values = {
        "app": SimpleNamespace(name="probe", bind="127.0.0.1:0", stop_timeout=10, proxy="none", listen="127.0.0.1:1"),
        "workers": 2,
        "worker_class": "gevent",
        "worker_connections": 2000,
        "threads": 4,
        "timeout": 30,
        "keepalive": 2,
        "max_requests": 0,
        "max_requests_jitter": 0,
        "preload": True,
        "log_level": "info",
        "log_dir": log_dir,
        "backlog": 2048,
    }
    return SimpleNamespace(**{**values, **changes})


def render(s: SimpleNamespace) -> str:
    """Render the configuration as Carboy does; a setting that is not there is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ROOT / "templates/gunicorn"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["py"] = literal
    return environment.get_template("gunicorn.conf.py.j2").render(s=s)


def literal(value: object) -> str:
    """Write a value as Python does; a missing one is an error, which the `repr` of jinja2's StrictUndefined is not."""
    str(value)
    return repr(value)


def write_release(folder: Path, **changes: Any) -> Path:
    """Lay out the configuration, what it imports, and the probe app."""
    folder.mkdir()
    (folder / "gunicorn.conf.py").write_text(render(settings(folder, **changes)))
    for name in ("servers/carboy_access_log.py", "gunicorn/carboy_gunicorn.py"):
        shutil.copy(ROOT / "templates" / name, folder)
    shutil.copy(ROOT / "templates/gunicorn/workers.py", folder / "carboy_workers.py")
    shutil.copy(HERE / "probe_app.py", folder)
    return folder


def execute(release: Path) -> dict[str, Any]:
    """Execute a release's configuration as gunicorn does, without the monkey patch of gevent's."""
    return runpy.run_path(str(release / "gunicorn.conf.py"))


def test_values(tmp_path: Path) -> None:
    """Each setting arrives under gunicorn's own name for it."""
    conf = execute(write_release(tmp_path / "r", worker_class="gthread", workers=3, max_requests=7, preload=False))
    assert (conf["worker_class"], conf["workers"], conf["max_requests"]) == ("gthread", 3, 7)
    assert (conf["preload_app"], conf["worker_connections"], conf["proc_name"]) == (False, 2000, "probe")
    assert (conf["accesslog"], conf["errorlog"]) == (f"{tmp_path}/r/access.log", f"{tmp_path}/r/error.log")
    assert conf["control_socket_disable"] is True
    assert conf["logger_class"].__name__ == "JsonLogger"


def test_automatic_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` is worked out where the configuration is executed, not where it is rendered."""
    release = write_release(tmp_path / "r", worker_class="sync", workers="auto")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    monkeypatch.setattr(os, "sysconf", lambda _: 2**20)
    monkeypatch.delitem(sys.modules, "carboy_workers", raising=False)
    assert execute(release)["workers"] <= 3


def test_pid_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pid file is in the unit's runtime directory, and nowhere when there is none."""
    release = write_release(tmp_path / "r", worker_class="sync")
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/probe:/run/other")
    assert execute(release)["pidfile"] == "/run/probe/gunicorn.pid"
    monkeypatch.delenv("RUNTIME_DIRECTORY")
    assert execute(release)["pidfile"] is None


def test_no_value_breaks_out(tmp_path: Path) -> None:
    """Whatever text a setting holds arrives as that text and is never executed."""
    app = SimpleNamespace(name=BREAKOUT, bind=BREAKOUT, stop_timeout=10, proxy="none")
    conf = execute(write_release(tmp_path / "r", app=app, worker_class="sync", log_level=BREAKOUT))
    assert (conf["proc_name"], conf["bind"], conf["loglevel"]) == (BREAKOUT, BREAKOUT, BREAKOUT)


@pytest.mark.parametrize("name", [*vars(settings(Path("/var/log/probe"))), "app.name", "app.bind", "app.stop_timeout"])
def test_missing_setting(name: str) -> None:
    """A setting that is not there is an error, not an empty text."""
    s = settings(Path("/var/log/probe"))
    owner = s.app if name.startswith("app.") else s
    delattr(owner, name.removeprefix("app."))
    with pytest.raises(UndefinedError):
        render(s)


def test_check_config(tmp_path: Path) -> None:
    """`gunicorn --check-config` accepts a release, silently, and refuses one whose app does not import."""
    release = write_release(tmp_path / "r")
    command = [sys.executable, "-m", "gunicorn", "--check-config", "--config", str(release / "gunicorn.conf.py")]
    good = subprocess.run([*command, "probe_app:app"], cwd=release, capture_output=True, text=True)
    assert (good.returncode, good.stdout + good.stderr) == (0, "")
    broken = subprocess.run([*command, "absent_app:app"], cwd=release, capture_output=True, text=True)
    assert broken.returncode == 1


def test_nothing_is_left_elsewhere(tmp_path: Path) -> None:
    """A running gunicorn leaves its logs and its pid file, and neither a control socket nor anything in the home."""
    with Served(tmp_path / "r", KINDS["gunicorn-sync"]) as server:
        before = {path.name for path in server.release.iterdir()}
        assert (server.release / "gunicorn.pid").read_text().strip() == str(server.process.pid)
        assert server.get("/") == b"ok"
        assert server.stop() == 0
    assert before >= {"access.log", "error.log", "gunicorn.pid"}
    assert not (server.release / ".gunicorn").exists()
    assert not (server.release / "gunicorn.pid").exists()
