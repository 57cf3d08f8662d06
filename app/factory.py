"""Where the app is put together."""

from __future__ import annotations

import os
import secrets
import time

from flask import Blueprint, Flask, Response, current_app, g, render_template, request

from app.worker import Worker

pages = Blueprint("pages", __name__)
worker = Worker()


def create_app() -> Flask:
    """Create the app; the environment variable CARBOY_RELEASE names the release that it answers with."""
    app = Flask(__name__)
    app.config["RELEASE"] = os.environ.get("CARBOY_RELEASE", "development")
    app.register_blueprint(pages)
    app.after_request(add_headers)
    return app


@pages.get("/")
def index() -> str:
    """Show people which release, host and worker answered, and since when."""
    g.nonce = secrets.token_urlsafe(16)
    facts = worker.facts(request.environ.get("SERVER_SOFTWARE", "unknown"))
    return render_template("index.html", release=current_app.config["RELEASE"], facts=facts)


@pages.get("/health")
def health() -> dict[str, str]:
    """Tell a probe that this release can answer."""
    return {"status": "ok", "release": current_app.config["RELEASE"]}


@pages.get("/test")
def slow() -> Response:
    """Answer after 0.1 s, as a request that waits for something would."""
    # Not `from time import sleep`: looked up here, it is gevent's own even if gevent patched after this import.
    time.sleep(0.1)
    return Response("ok", mimetype="text/plain")


def add_headers(response: Response) -> Response:
    """Name the release on every response, keep caches out, and let a page use nothing but its own style."""
    style = f"'nonce-{g.nonce}'" if "nonce" in g else "'none'"
    response.headers["X-Release"] = current_app.config["RELEASE"]
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; style-src {style}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return response
