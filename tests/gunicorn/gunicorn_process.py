"""A real gunicorn on a release of its own, started as systemd would: sockets inherited, readiness notified."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
TEMPLATES = ROOT / "templates" / "gunicorn"
# LISTEN_PID must name the process that becomes gunicorn: set between fork and exec, as systemd does.
AS_SYSTEMD = """
import os, sys
first, second, *command = sys.argv[1:]
os.dup2(int(first), 3)
os.dup2(int(second), 4)
os.environ.update(LISTEN_FDS="2", LISTEN_PID=str(os.getpid()))
os.execv(command[0], command)
"""


def settings(log_dir: Path, **changes: Any) -> SimpleNamespace:
    """Return every setting that the template may read, with some changed."""
    values = {
        "app": SimpleNamespace(name="probe", bind="127.0.0.1:0", stop_timeout=10),
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
        loader=jinja2.FileSystemLoader(TEMPLATES),
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
    """Lay out a release with the probe app and with the app that ships with Carboy."""
    folder.mkdir()
    (folder / "gunicorn.conf.py").write_text(render(settings(folder, **changes)))
    shutil.copy(TEMPLATES / "access_log.py", folder / "carboy_access_log.py")
    shutil.copy(TEMPLATES / "workers.py", folder / "carboy_workers.py")
    shutil.copy(HERE / "probe_app.py", folder)
    (folder / "app").symlink_to(ROOT / "app")
    return folder


class Gunicorn:
    """A running gunicorn; leaving the context stops it and waits until it is gone."""

    def __init__(self, release: Path, wsgi: str = "probe_app:app") -> None:
        self.release = release
        self.wsgi = wsgi
        self.unix_path = str(release / "probe.sock")

    def __enter__(self) -> Gunicorn:
        self.tcp = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.address = self.tcp.getsockname()
        self.unix = _listen_unix(self.unix_path)
        self.ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ready.bind(str(self.release / "notify"))
        self.ready.settimeout(20)
        self.process = self._start()
        assert self.ready.recv(4096).startswith(b"READY=1"), self.output()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGQUIT)
        for listener in (self.tcp, self.unix, self.ready):
            listener.close()

    def _start(self) -> subprocess.Popen[bytes]:
        # Above 4, so that neither of the two is overwritten while they are put in place.
        inherited = [fcntl.fcntl(s.fileno(), fcntl.F_DUPFD, 10) for s in (self.tcp, self.unix)]
        gunicorn = [sys.executable, "-m", "gunicorn", "--config", str(self.release / "gunicorn.conf.py"), self.wsgi]
        environment = {
            **os.environ,
            "NOTIFY_SOCKET": str(self.release / "notify"),
            "RUNTIME_DIRECTORY": str(self.release),
            "CARBOY_RELEASE": "20261122-0123abcd",
            "HOME": str(self.release),
        }
        environment.pop("XDG_RUNTIME_DIR", None)
        with (self.release / "output").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", AS_SYSTEMD, *map(str, inherited), *gunicorn],
                cwd=self.release,
                env=environment,
                pass_fds=inherited,
                stdout=output,
                stderr=output,
            )
        for fd in inherited:
            os.close(fd)
        return process

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Ask gunicorn to stop, wait until it has, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(timeout=20)

    def connect(self, *, unix: bool = False) -> socket.socket:
        """Open a connection to one of the two inherited sockets."""
        if not unix:
            return socket.create_connection(self.address, timeout=20)
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(20)
        connection.connect(self.unix_path)
        return connection

    def send(self, request: bytes, *, unix: bool = False) -> bytes:
        """Send the bytes of a request and return all that comes back, whichever way the connection ends."""
        with self.connect(unix=unix) as connection:
            try:
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # Refused in mid-request: the answer is there to be read all the same.
            return read_all(connection)

    def get(self, target: str, *headers: str, unix: bool = False) -> bytes:
        """Request a target with further header lines, and return the body."""
        lines = [f"GET {target} HTTP/1.1", "Host: probe", "Connection: close", *headers, "", ""]
        return self.send("\r\n".join(lines).encode(), unix=unix).partition(b"\r\n\r\n")[2]

    def output(self) -> str:
        """Return what gunicorn printed and what it wrote to its error log."""
        logs = [self.release / "output", self.release / "error.log"]
        return "".join(log.read_text() for log in logs if log.exists())

    def entries(self) -> list[dict[str, Any]]:
        """Parse every line of the access log, rotated ones included; a line that is not JSON fails here."""
        logs = sorted(self.release.glob("access.log*"))
        return [json.loads(line) for log in logs for line in log.read_text().split("\n")[:-1]]


def read_all(connection: socket.socket) -> bytes:
    """Read until the other side closes or resets the connection."""
    received = b""
    try:
        while chunk := connection.recv(65536):
            received += chunk
    except ConnectionResetError:
        pass
    return received


def _listen_unix(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(512)
    return listener
