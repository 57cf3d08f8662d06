"""Apps that cannot be deployed, each broken in its own way, and the cause that must be named for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

GOOD = "from app.factory import create_app\n\napp = create_app()\n"
HEALTH = GOOD + "\n\n@app.get('/ready')\ndef ready():\n    %s\n"
LISTEN = "systemd-run -q --unit=other python3 -m http.server 8000; until ss -ltn | grep -q :8000; do sleep 0.05; done"
LISTEN_NEW = LISTEN.replace("8000", "9009")
# A queue of connections that is full, so that nobody is told yes or no.
SILENT = """cat >/run/silent.py <<'EOF'
import pathlib, socket, time
door = socket.create_server(("127.0.0.1", 9009), backlog=0)
waiting = [socket.socket() for _ in range(4)]
for each in waiting:
    each.setblocking(False)
    each.connect_ex(door.getsockname())
pathlib.Path("/run/silent").touch()
time.sleep(600)
EOF
systemd-run -q --unit=other python3 /run/silent.py; until [ -e /run/silent ]; do sleep 0.05; done"""
EMPTY_INDEX = "mkdir -p /run/index; printf '[global]\\nindex-url = http://127.0.0.1:9009/\\n' >/etc/pip.conf; " + (
    LISTEN_NEW.replace("http.server", "http.server -d /run/index")
)
GONE = "systemctl stop other 2>/dev/null || true; rm -rf /etc/pip.conf /run/silent /small/*"


@dataclass(frozen=True)
class Broken:
    """An app that cannot be deployed: how it is broken, and the cause that must be named."""

    name: str
    how: str
    cause: str
    code: str = GOOD
    variables: dict[str, Any] = field(default_factory=dict)
    before: str = ""
    requirements: str = ""


READY = {"app_health": "/ready", "app_start_timeout": "12s"}
BROKEN = (
    Broken("Syntax error", "A bracket is never closed.", "SyntaxError in app/wsgi.py, line 3", GOOD[:-2] + "\n"),
    Broken(
        "Missing module",
        "`import stripe`, which no requirement names.",
        "the module stripe is not installed",
        "import stripe\n\n" + GOOD,
    ),
    Broken(
        "Wrong object in app_wsgi",
        "`app_wsgi: app.wsgi:application`, while the module has `app`.",
        "app_wsgi names application, which is not in the module app.wsgi",
        variables={"app_wsgi": "app.wsgi:application"},
    ),
    Broken(
        "Wrong module in app_wsgi",
        "`app_wsgi: app.web:app`, while the module is `app.wsgi`.",
        "app_wsgi names the module app.web, which is not in the app",
        variables={"app_wsgi": "app.web:app"},
    ),
    Broken(
        "Exception in the factory",
        "What creates the app raises an exception.",
        "ValueError in app/wsgi.py, line 5",
        GOOD.replace("app = create_app()", "\ndef create():\n    return create_app(), int('12%')\n\n\napp = create()"),
    ),
    Broken(
        "Missing environment variable",
        '`os.environ["SHOP_KEY"]`, which no setting names.',
        "the environment variable SHOP_KEY is not set",
        'import os\n\nKEY = os.environ["SHOP_KEY"]\n' + GOOD,
    ),
    Broken(
        "A write that the sandbox forbids",
        "The app writes to `/etc` when it is imported.",
        "it writes to /etc/shop.conf, which its sandbox keeps read-only",
        'from pathlib import Path\n\nPath("/etc/shop.conf").write_text("x")\n' + GOOD,
    ),
    Broken(
        "A database in its own source",
        "SQLite is to make `shop.db` in the working directory, which belongs to the release.",
        "it probably writes where its sandbox is read-only",
        'import sqlite3\n\nsqlite3.connect("shop.db").execute("create table stock (item)")\n' + GOOD,
    ),
    Broken(
        "A database out of reach",
        "The app connects when it is imported, and nothing listens there.",
        "it cannot reach what it connects to: Connection refused",
        'import socket\n\nsocket.create_connection(("127.0.0.1", 5432))\n' + GOOD,
    ),
    Broken(
        "Health path that is not there",
        "`app_health: /healthz`, while the app has `/health`.",
        "/healthz answers 404: the app has no such page",
        variables={"app_health": "/healthz"},
    ),
    Broken(
        "Health path that fails",
        "The page raises an exception.",
        "/ready answers 500: ZeroDivisionError in app/wsgi.py, line 8",
        HEALTH % 'return {"stock": 1 / 0}',
        READY,
    ),
    Broken(
        "Health path that says no",
        "The app answers 503, because something that it needs is down.",
        "/ready answers 503: the app itself says that it is not well",
        HEALTH % 'return {"database": "down"}, 503',
        READY,
    ),
    Broken(
        "Health path behind a login",
        "The page answers 401 to all who are not logged in.",
        "/ready answers 401: the app probably wants a login there",
        HEALTH % 'return "who are you?", 401',
        READY,
    ),
    Broken(
        "Health path that hangs",
        "The page waits for something that does not come.",
        "no answer within 12 s: it starts slowly, or waits for something, such as a database",
        "import time\n\n" + HEALTH % "time.sleep(600)",
        READY,
    ),
    Broken(
        "A database that does not answer",
        "The health page connects to it, and what listens there accepts nothing.",
        "no answer within 12 s: it probably waits for a connection to 127.0.0.1:9009",
        HEALTH % 'import socket; socket.create_connection(("127.0.0.1", 9009)); return "ok"',
        READY,
        before=SILENT,
    ),
    Broken(
        "A host name that is refused",
        "The app answers to its own public name only.",
        "/ready answers 421: it probably refuses the host name `localhost`, by which it is asked",
        HEALTH % 'return ("ok", 200) if request.host == "shop.example.com" else ("", 421)'
        + "\n\nfrom flask import request\n",
        READY,
    ),
    Broken(
        "Memory limit",
        "The app takes 300 MB when it is imported, with `app_memory_max: 64M`.",
        "at its limit of 64 MB of memory",
        'CACHE = b"x" * (300 << 20)\n' + GOOD,
        {"app_memory_max": "64M"},
    ),
    Broken(
        "Slow start",
        "The import takes longer than `app_start_timeout: 2s`.",
        "it had not finished importing after 2 s",
        "import time\n\ntime.sleep(600)\n" + GOOD,
        {"app_start_timeout": "2s"},
    ),
    Broken(
        "A worker that dies",
        "The first request ends the worker.",
        "a worker died: it exited with code 7",
        HEALTH % "import os; os._exit(7)",
        READY,
    ),
    Broken(
        "An app that ends itself",
        "The import calls `sys.exit`.",
        "it ended itself with exit status 4",
        "import sys\n\nprint('no licence found', file=sys.stderr)\nsys.exit(4)\n",
    ),
    Broken(
        "A compiled extension that crashes",
        "The import reads memory that is not there.",
        "a compiled extension probably crashed it (SIGSEGV)",
        "import ctypes\n\nctypes.string_at(0)\n",
    ),
    Broken(
        "A full disk",
        "The app writes to a file system that has 1 MB.",
        "no room is left on /small",
        'from pathlib import Path\n\nPath("/small/cache").write_bytes(bytes(3 << 20))\n' + GOOD,
        {"systemd_writable": ["/small"]},
        before="chmod 777 /small",
    ),
    Broken(
        "A unit that systemd refuses",
        "`systemd_writable` names a folder that the host does not have.",
        "systemd cannot make its sandbox: there is no /nowhere",
        variables={"systemd_writable": ["/nowhere"]},
    ),
    Broken(
        "A package that there is not",
        "The host's own index, `app_packages_from: index`, does not have what is required.",
        "the packages cannot be installed",
        variables={"app_packages_from": "index"},
        requirements="shop-plugin==9\n",
        before=EMPTY_INDEX,
    ),
    Broken(
        "A new address in use",
        "`app_listen: 0.0.0.0:9009`, where another program listens.",
        "the public address 0.0.0.0:9009 cannot be opened: another program listens there",
        variables={"app_listen": "0.0.0.0:9009"},
        before=LISTEN_NEW,
    ),
    Broken(
        "Sick only once it serves",
        "The page raises an exception in a release that serves, and not in one that is tried out.",
        "/ready answers 500: LookupError in app/wsgi.py, line 11",
        "import os\n\n" + HEALTH % 'if "GUNICORN_CMD_ARGS" in os.environ: return "ok"\n    raise LookupError("stock")',
        READY,
    ),
)
FIRST = Broken(
    "The address in use at the first deploy",
    "Another program listens where the app is to; nothing serves yet, and nothing serves then.",
    "the public address 0.0.0.0:8000 cannot be opened",
    before=LISTEN,
)
