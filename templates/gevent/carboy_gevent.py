"""gevent's server for a WSGI app, in one process: `python carboy_gevent.py package.module:object`."""

from __future__ import annotations

from gevent import monkey

# Before anything else: what is imported from here on keeps the functions that it finds, and these must not block.
monkey.patch_all()

from carboy_pywsgi import PyWsgi  # noqa: E402
from carboy_server import run  # noqa: E402

if __name__ == "__main__":
    run(PyWsgi)
