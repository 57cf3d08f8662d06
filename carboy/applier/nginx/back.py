"""The way back from a change of a site that did not take: all as it was, and nginx seen to serve that."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Dict, Tuple, Union

from carboy.applier.host import Host, link, remove, write
from carboy.applier.nginx.control import ask
from carboy.applier.nginx.process import main_process, start_or_reload
from carboy.applier.nginx.site import Site
from carboy.applier.resource import Failure, Stranded

# What was at a path: bytes of a file, the target of a link, or nothing.
Kept = Union[bytes, str, None]
BACK_SECONDS = 15.0
PAUSE_SECONDS = 0.05


def go_back(host: Host, site: Site, before: Dict[Path, Kept], failure: Failure) -> None:
    """Put everything back and wait until nginx serves it; raises `Stranded` if it does not."""
    try:
        for path, kept in before.items():
            _put(path, kept)
        start_or_reload(host)
    except OSError as worse:
        raise _stranded(failure, str(worse)) from worse
    until = time.monotonic() + BACK_SECONDS
    while not _serves(host, site, before):
        if time.monotonic() > until:
            raise _stranded(failure, "it does not serve what was there before either")
        time.sleep(PAUSE_SECONDS)


def _put(path: Path, kept: Kept) -> None:
    if kept is None:
        remove(path)
    elif isinstance(kept, str):
        link(path, kept)
    elif not path.exists() or path.read_bytes() != kept:
        write(path, kept)


def _serves(host: Host, site: Site, before: Dict[Path, Kept]) -> bool:
    """Whether nginx says the mark of the site that was there, or runs without the new one if there was none."""
    for kept in before.values():
        if isinstance(kept, bytes) and mark(kept)[1]:
            port, wanted = mark(kept)
            return ask(site.app, port) == wanted
    return bool(main_process(host)) and ask(site.app, site.ports[0]) != site.mark


def mark(text: bytes) -> Tuple[int, str]:
    """Where a site's first server block listens, and the mark that it answers; 0 and nothing if it is none of ours."""
    found = re.search(rb"^ *listen (\d+)\b.*?^ *return 200 ([0-9a-f]{16});", text, re.MULTILINE | re.DOTALL)
    return (int(found[1]), found[2].decode()) if found else (0, "")


def _stranded(failure: Failure, why: str) -> Stranded:
    details = "%s\n%s" % (failure.details, why) if failure.details else why
    return Stranded("%s, and was not put back" % failure.what, details=details, hint="look at the host now: nginx -t")
