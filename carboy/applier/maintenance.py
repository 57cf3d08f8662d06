"""The verb `maintenance`: a page in the app's place, at once and until it is taken away; deploys go on behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from carboy.applier.host import Host, remove, write
from carboy.applier.nginx.control import ask
from carboy.applier.resource import Failure
from carboy.applier.session import Arguments, session


def main(args: Arguments) -> None:
    """Entry point of the payload."""
    session(args, maintenance)


def maintenance(host: Host, args: Arguments) -> None:
    """Put the page there or take it away, and see that nginx does as it says."""
    page, wanted = host.at(place(args["app"])), "on" if args["page"] else "off"
    if not page.parent.is_dir():
        raise _nowhere(args["app"], "no %s" % page.parent)
    before = page.read_bytes() if page.exists() else None
    _put(page, args["page"].encode() or None)
    found = ask(args["app"], args["port"], "/maintenance")
    if found != wanted:
        # Nothing half-way: a page that nobody sees now would come up with the next start of nginx. But one that was
        # there stays until it is taken away: who works on the site counts on it.
        _put(page, before if wanted == "on" else None)
        raise _nowhere(args["app"], "it says %r" % found if found else "nothing of this app answers on its port")
    host.stream.emit("maintenance", since=since(host, args["app"]))


def _put(page: Path, text: Optional[bytes]) -> None:
    """Have this text as the page, or no page."""
    if text is None:
        remove(page)
    else:
        write(page, text)


def place(app: str) -> str:
    """Where the page lies, which is shown as long as it is there."""
    return "/srv/%s/maintenance.html" % app


def since(host: Host, app: str) -> Optional[int]:
    """When the page was put there, as seconds of the wall clock; None while there is none."""
    page = host.at(place(app))
    return int(page.stat().st_mtime) if page.exists() else None


def _nowhere(app: str, why: str) -> Failure:
    return Failure("nginx does not stand before %s on this host" % app, details=why, hint="deploy it first")
