"""The WSGI app that the tests of the servers serve."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

# The trap of preload and gevent: bound at import, before a worker patches anything.
from time import sleep
from typing import Any, cast

CALLS = os.open(Path(__file__).with_name("calls"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
inside = 0


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Count the call, and do what the path says."""
    os.write(CALLS, b".")
    act = ACTS.get(environ["PATH_INFO"], ok)
    return act(environ, start_response)


def ok(_: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer at once."""
    return text(start_response, "ok")


def text(start_response: Callable[..., Any], body: str) -> Iterable[bytes]:
    """Answer with a text."""
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body.encode()]


def pid(_: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer with the worker's process id."""
    return text(start_response, str(os.getpid()))


def meet(_: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer with how many requests were here at once, waiting for up to five."""
    global inside
    inside += 1
    for _attempt in range(30):
        if inside >= 5:
            break
        sleep(0.05)
    return text(start_response, str(inside))


def slow(_: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer in two pieces, with time between them."""
    start_response("200 OK", [("Content-Length", "11")])
    yield b"begun,"
    sleep(0.5)
    yield b"ended"


def hang(_: dict[str, Any], __: Callable[..., Any]) -> Iterable[bytes]:
    """Never answer."""
    while True:
        sleep(60)


def scheme(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer with the scheme that the client is thought to use."""
    return text(start_response, environ["wsgi.url_scheme"])


def boom(_: dict[str, Any], __: Callable[..., Any]) -> Iterable[bytes]:
    """Fail."""
    raise RuntimeError("the app failed")


def late_boom(_: dict[str, Any], __: Callable[..., Any]) -> Iterable[bytes]:
    """Fail once the server asks for the first piece of the answer."""
    raise RuntimeError("the app failed late")
    yield b""


def file(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer with a file, in the way that lets the kernel send it."""
    path = Path(__file__)
    start_response("200 OK", [("Content-Length", str(path.stat().st_size))])
    wrap = environ.get("wsgi.file_wrapper", iter)
    return cast(Iterable[bytes], wrap(path.open("rb")))


ACTS = {
    "/pid": pid,
    "/meet": meet,
    "/slow": slow,
    "/hang": hang,
    "/scheme": scheme,
    "/boom": boom,
    "/late-boom": late_boom,
    "/file": file,
}
