"""An app that does what nginx has to get right: it tells who asks, streams, upgrades, and answers big and slowly."""

from __future__ import annotations

import base64
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask import Flask, Response, jsonify, request

SHARED = Path("/srv/hello/shared")
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
app = Flask(__name__, static_folder=None)


@app.after_request
def name_release(response: Response) -> Response:
    """Say which release answered, and one header that nginx would add too."""
    response.headers["X-Release"] = os.environ["CARBOY_RELEASE"]
    response.headers["X-Frame-Options"] = "DENY"
    return response


@app.get("/health")
def health() -> str:
    """Answer a probe."""
    return "ok"


@app.get("/test")
def slow() -> str:
    """Answer after what a request usually waits for."""
    time.sleep(0.1)
    return "ok"


@app.route("/who", methods=["GET", "POST"])
def who() -> Response:
    """Tell what is known of the client."""
    # All of it: a connection that is closed on what was not read can take the answer with it.
    request.get_data()
    names = ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "Forwarded", "Upgrade", "Proxy")
    seen = {name: request.headers.get(name) for name in names}
    return jsonify({"address": request.remote_addr, "scheme": request.scheme, "host": request.host, **seen})


@app.get("/big")
def big() -> Response:
    """Answer with much text and with long headers."""
    return Response("carboy " * 10_000, mimetype="text/plain", headers={"X-Long": "x" * 9_000})


@app.get("/asleep")
def asleep() -> str:
    """Answer later than anybody waits."""
    time.sleep(5)
    return "good morning"


@app.get("/events")
def events() -> Response:
    """One event, and the second as soon as a client that has seen the first says so."""
    heard = SHARED / request.args["heard"]

    def stream() -> Iterator[str]:
        yield "data: first\n\n"
        until = time.monotonic() + 10
        while not heard.exists() and time.monotonic() < until:
            time.sleep(0.01)
        yield f"data: {'second' if heard.exists() else 'nobody heard the first'}\n\n"

    return Response(stream(), mimetype="text/event-stream")


@app.get("/heard/<name>")
def heard(name: str) -> str:
    """Note that a client has seen the first event."""
    (SHARED / name).touch()
    return "noted"


@app.route("/socket", websocket=True)
def websocket() -> str:
    """Become a WebSocket by hand, and send back each frame until the client closes."""
    connection = request.environ["gunicorn.socket"]
    accept = base64.b64encode(hashlib.sha1((request.headers["Sec-WebSocket-Key"] + GUID).encode()).digest()).decode()
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    connection.sendall("\r\n".join([*lines, f"Sec-WebSocket-Accept: {accept}", "", ""]).encode())
    while echo(connection):
        pass
    # How an app tells gunicorn that it has answered by itself.
    raise StopIteration


def echo(connection: Any) -> bool:
    """Send one short, masked frame back; whether there may be more."""
    head = connection.recv(2)
    if len(head) < 2 or head[0] & 0x0F == 8:
        return False
    mask = connection.recv(4)
    text = bytes(byte ^ mask[at % 4] for at, byte in enumerate(connection.recv(head[1] & 0x7F)))
    connection.sendall(bytes([0x81, len(text)]) + text)
    return True
