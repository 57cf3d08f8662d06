"""A tiny app on a host that has cron and no systemd, with the real control script and keeper, and nothing else."""

from __future__ import annotations

import importlib
import io
import json
import shlex
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from carboy.sandbox import ContainerHost, SandboxError
from carboy.settings import Duration
from roles import cron, server
from roles.app import Settings as App
from roles.flask import Settings as Flask
from roles.gevent import Settings as Gevent
from roles.gunicorn import Settings as Gunicorn
from roles.nginx import Settings as Nginx

PROGRAMS = Path(__file__).parents[2] / "templates/cron"
RELEASE, SECOND = "20260101T000000Z-00000000", "20260102T000000Z-00000000"
APP = Path(__file__).with_name("tiny_app.py")


def settings(**app: Any) -> cron.Settings:
    """The settings of a cron role that does not wait long; `app` are those of the app."""
    chosen = App(**{"wsgi": "app:app", "name": "tiny", "runtime": "cron", **app})
    served = server.Settings(chosen, Gunicorn(chosen), Gevent(chosen), Flask(chosen))
    return cron.Settings(chosen, served, Nginx(chosen), health_timeout=Duration(1))


def load_program(name: str) -> ModuleType:
    """One of the programs that a release brings, as a module."""
    if str(PROGRAMS) not in sys.path:
        sys.path.insert(0, str(PROGRAMS))
    return importlib.import_module(name)


@dataclass(frozen=True)
class Tiny:
    """The app on its host; what it does depends on files in /srv/tiny/shared, see tiny_app.py."""

    host: ContainerHost

    def install(self, *, stop_timeout: int = 2, **app: Any) -> None:
        """Put a release on the host and choose it; whatever ran of an earlier one is killed."""
        made = settings(**app)
        files = {name: blob.text() for name, (_, blob) in made.files().items()}  # type: ignore[attr-defined]
        grace = f"stop_timeout={made.stop_timeout:.0f}"
        files["cron/control"] = files["cron/control"].replace(grace, f"stop_timeout={stop_timeout}")
        files["cron/settings.json"] = json.dumps({**made.start, "command": "%r/venv/bin/python %r/tree/app.py"})
        files["environment"] = 'GREETING="it\\"s"\n'
        files["tree/app.py"] = APP.read_text()
        self._copy(files)
        self.shell(f"""
            pkill -9 -u tiny || true; pkill -9 -f "keep[.]py" || true
            rm -rf /run/carboy/tiny /srv/tiny/stopped /srv/tiny/watchdog.log /srv/tiny/shared
            id tiny >/dev/null 2>&1 || useradd --system --home-dir /srv/tiny --shell /usr/sbin/nologin tiny
            cd /srv/tiny/releases/{RELEASE}
            mkdir -p venv/bin; ln -sf /usr/bin/python3 venv/bin/python; chmod 0755 cron/control
            ln -sfn releases/{RELEASE}/cron/control /srv/tiny/control
            install -d -o tiny -g tiny /srv/tiny/shared /var/log/tiny
        """)

    def second(self, stop_timeout: int) -> str:
        """Put another release beside the first, with a stop timeout of its own; returns its control script."""
        script = f"/srv/tiny/releases/{SECOND}/cron/control"
        self.shell(f"""
            rm -rf /srv/tiny/releases/{SECOND}; cp -a /srv/tiny/releases/{RELEASE} /srv/tiny/releases/{SECOND}
            sed -i 's/^stop_timeout=.*/stop_timeout={stop_timeout}/' {script}
        """)
        return script

    def shell(self, script: str) -> str:
        """Run a script on the host as root."""
        return self.host.container.shell(script)

    def control(self, verb: str, before: str = "") -> str:
        """What the control script says; `before` is put in front of the command."""
        return self.shell(f"{before} /srv/tiny/control {verb}")

    def refused(self, verb: str, before: str = "") -> str:
        """What the control script says where it must fail."""
        try:
            said = self.control(verb, before)
        except SandboxError as error:
            return error.what
        raise AssertionError(f"it succeeded: {said}")

    def until(self, condition: str) -> None:
        """Wait until a condition of the shell holds on the host."""
        self.shell(f"timeout 20 sh -c {shlex.quote(f'until {condition}; do sleep 0.05; done')}")

    def pids(self) -> dict[str, int]:
        """The main process and the keeper, as written down."""
        words = self.shell(f"cat /run/carboy/tiny/{RELEASE}.pid").split()
        return {"main": int(words[0]), "born": int(words[1]), "keeper": int(words[2])}

    def running(self) -> list[int]:
        """All processes of the app's user."""
        return [int(pid) for pid in self.shell("pgrep -u tiny || true").split()]

    def story(self) -> list[str]:
        """What the watchdog did, without the times."""
        said = self.shell("cat /srv/tiny/watchdog.log 2>/dev/null || true")
        return [line.partition(" ")[2] for line in said.splitlines()]

    def ask(self, path: str = "/health") -> str:
        """What the app answers over the public address; empty for nothing."""
        return self.shell(f"python3 - <<'E'\n{ASK % path}\nE")

    def kill(self, *whom: str) -> dict[str, int]:
        """kill -9 of these in turn, the keeper first lest it still has a check look; returns which they were."""
        found = self.pids()
        self.shell("kill -9 " + " ".join(str(found[name]) for name in whom))
        return found

    def _copy(self, files: dict[str, str]) -> None:
        archive = Path(self.host.key_file).with_name(f"{self.host.name}.tar")
        with tarfile.open(archive, "w") as tar:
            for name, text in files.items():
                entry = tarfile.TarInfo(f"srv/tiny/releases/{RELEASE}/{name}")
                entry.size, entry.mode = len(text.encode()), 0o644
                tar.addfile(entry, io.BytesIO(text.encode()))
        self.host.container.engine.run("cp", str(archive), f"{self.host.container.name}:/tiny.tar")
        self.shell("tar -C / -xf /tiny.tar; rm /tiny.tar")
        archive.unlink()


ASK = """
import urllib.request
try:
    print(urllib.request.urlopen("http://127.0.0.1:8000%s", timeout=5).read().decode())
except OSError:
    pass
"""
