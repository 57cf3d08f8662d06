"""A real server of any kind on a release of its own, started as systemd would: sockets inherited, readiness told."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from roles import app, flask, gevent, gunicorn
from roles.server import Server

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
RELEASE = "20261122-0123abcd"
APP = app.Settings(wsgi="probe_app:app", name="probe", listen="127.0.0.1:1")
GUNICORN = gunicorn.Settings(APP, workers=2, threads=4, keepalive=2)
KINDS: dict[str, Any] = {
    "gunicorn-gevent": replace(GUNICORN, worker_class="gevent"),
    "gunicorn-gthread": replace(GUNICORN, worker_class="gthread"),
    "gunicorn-sync": replace(GUNICORN, worker_class="sync"),
    "gevent": gevent.Settings(APP),
    "flask": flask.Settings(APP),
}
# LISTEN_PID must name the process that becomes the server: set between fork and exec, as systemd does.
AS_SYSTEMD = """
import os, sys
at = sys.argv.index("--")
inherited, command = sys.argv[1:at], sys.argv[at + 1 :]
for number, fd in enumerate(inherited, start=3):
    os.dup2(int(fd), number)
if inherited:
    os.environ.update(LISTEN_FDS=str(len(inherited)), LISTEN_PID=str(os.getpid()))
os.execv(command[0], command)
"""


def write_release(folder: Path, server: Server) -> Path:
    """Lay out a release with the probe app and with the app that ships with Carboy."""
    tree = folder / "tree"
    tree.mkdir(parents=True)
    for name, (_, content) in server.files().items():
        (folder / name).write_text(content.text())  # type: ignore[attr-defined]
    shutil.copy(HERE / "probe_app.py", tree)
    (tree / "app").symlink_to(ROOT / "app")
    return folder


class Sockets:
    """A TCP socket and a unix socket, which several servers may inherit, one after the other or at once."""

    def __init__(self, folder: Path) -> None:
        self.tcp = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.address = self.tcp.getsockname()
        self.path = str(folder / "probe.sock")
        self.unix = socket.socket(socket.AF_UNIX)
        self.unix.bind(self.path)
        self.unix.listen(512)

    def connect(self, *, unix: bool = False) -> socket.socket:
        """Open a connection to one of the two."""
        if not unix:
            return socket.create_connection(self.address, timeout=20)
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(20)
        connection.connect(self.path)
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
        return self.send(request(target, "Connection: close", *headers), unix=unix).partition(b"\r\n\r\n")[2]


class Served(Sockets):
    """A running server; leaving the context stops it and waits until it is gone."""

    def __init__(self, folder: Path, server: Server, wsgi: str = "", **environment: str) -> None:
        self.release = write_release(folder, server)
        super().__init__(folder)
        self.server = server
        self.wsgi = wsgi
        self.environment = environment
        self.notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notified.bind(str(folder / "notify"))
        self.notified.settimeout(20)

    def __enter__(self) -> Served:
        self.process = self.start()
        self.await_notice("READY=1")
        return self

    def await_notice(self, wanted: str) -> None:
        """Wait until the server tells its manager that."""
        try:
            while not self.notified.recv(4096).decode().startswith(wanted):
                pass
        except TimeoutError:
            raise AssertionError(self.output()) from None

    def __exit__(self, *_: object) -> None:
        self.kill()
        for each in (self.tcp, self.unix, self.notified):
            each.close()

    def start(self, *, inherit: bool = True) -> subprocess.Popen[bytes]:
        """Start the server, with both sockets or with none."""
        inherited = (self.tcp, self.unix) if inherit else ()
        # From 10 on, so that neither is overwritten while they are put in place.
        fds = [fcntl.fcntl(each.fileno(), fcntl.F_DUPFD, 10) for each in inherited]
        command = self.server.command.replace("%r/venv/bin/python", sys.executable).replace("%r", str(self.release))
        *words, wsgi = command.split()
        with (self.release / "output").open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", AS_SYSTEMD, *map(str, fds), "--", *words, self.wsgi or wsgi],
                cwd=self.release / "tree",
                env=self._environment(),
                pass_fds=fds,
                start_new_session=True,
                stdout=output,
                stderr=output,
            )
        for fd in fds:
            os.close(fd)
        return process

    def _environment(self) -> dict[str, str]:
        folder = self.release
        logs = f"--access-logfile={folder}/access.log --error-logfile={folder}/error.log"
        environment = {
            **os.environ,
            "NOTIFY_SOCKET": str(folder / "notify"),
            "RUNTIME_DIRECTORY": str(folder),
            "CARBOY_RELEASE": RELEASE,
            "CARBOY_LOGS": str(folder),
            "GUNICORN_CMD_ARGS": logs,
            "HOME": str(folder),
            **self.environment,
        }
        environment.pop("XDG_RUNTIME_DIR", None)
        return environment

    def kill(self) -> None:
        """Kill all its processes: gunicorn takes no notice of a gentler signal to a worker that has just been born."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=20)

    def stop(self) -> int:
        """Ask the server to stop, wait until it has, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        # Where gunicorn has lost the signal to a worker that was just born, only app_stop_timeout ends it.
        return self.process.wait(timeout=60)

    def output(self) -> str:
        """What the server printed and what it wrote to its error log."""
        logs = [self.release / "output", self.release / "error.log"]
        return "".join(log.read_text() for log in logs if log.exists())

    def entries(self) -> list[dict[str, Any]]:
        """Every line of the access log, rotated ones included; a line that is not JSON fails here."""
        logs = sorted(self.release.glob("access.log*"))
        return [json.loads(line) for log in logs for line in log.read_text().split("\n")[:-1]]


def request(target: str, *headers: str) -> bytes:
    """The bytes of a GET request."""
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: probe", *headers, "", ""]).encode()


def read_all(connection: socket.socket) -> bytes:
    """Read until the other side closes or resets the connection."""
    received = b""
    try:
        while chunk := connection.recv(65536):
            received += chunk
    except ConnectionResetError:
        pass
    return received
