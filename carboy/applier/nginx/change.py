"""A change of a site: proven, made, taken into use; and taken back if nginx does not run with it."""

from __future__ import annotations

import grp
import os
import re
import time
from pathlib import Path
from typing import List

from carboy.applier.host import Host, private, remove, write
from carboy.applier.nginx import proof
from carboy.applier.nginx.back import Kept, go_back
from carboy.applier.nginx.process import start_or_reload
from carboy.applier.nginx.site import Site
from carboy.applier.resource import Failure, Stranded

ERROR_LOG = "/var/log/nginx/error.log"
# A new port may be free a little later; nginx itself tries for 2.5 s.
TAKES_SECONDS = 15.0
PAUSE_SECONDS = 0.05
# For a moment after a reload an old worker may still accept what comes.
RIGHT_IN_A_ROW = 5


def change(host: Host, site: Site) -> None:
    """Have nginx run with a site as declared; raises `Failure` when what ran before runs again."""
    new = [path for path in map(host.at(site.home).joinpath, site.files) if not path.exists()]
    try:
        _lay_out(host, site)
        _replace(host, site, _text(host, site))
    except Stranded:
        raise
    except Failure:
        for path in new:
            remove(path)
        raise
    _prune(host, site)


def _replace(host: Host, site: Site, text: bytes) -> None:
    """Prove the new text, put it in place of the old one, and have nginx run with it; else put all back."""
    place, leave_out = host.at(site.path), proof.superseded(host, site)
    proof.check(host, site, text, leave_out)
    before = {path: _kept(path) for path in (place, *leave_out)}
    try:
        # These first: a host that dies in between has no site, which the next deploy sees, and not one that is wrong.
        for path in leave_out:
            remove(path)
        if before[place] != text:
            write(place, text)
        _take(host, site)
    except (Failure, OSError) as problem:
        failure = problem if isinstance(problem, Failure) else _hindered(problem)
        go_back(host, site, before, failure)
        failure.hint = "%s; what nginx served before it serves again" % failure.hint
        raise failure from None


def _hindered(problem: OSError) -> Failure:
    hint = "look at the host: systemctl status nginx, then deploy again"
    return Failure("nginx could not be given the new configuration", details=str(problem), hint=hint)


def _lay_out(host: Host, site: Site) -> None:
    """Put certificate and key beside those that are in use, and have log files that only the right people can read."""
    home = private(host.at(site.home))
    for name, (mode, blob) in site.files.items():
        if name in site.wrong(host):
            write(home / name, host.blob(blob.need).read_bytes(), int(mode, 8))
    for log in re.findall(rb"^\s*(?:access|error)_log (/[^ ;]+)", _text(host, site), re.MULTILINE):
        _closed(host.at(log.decode()))


def _closed(log: Path) -> None:
    if not log.exists():
        log.touch(0o640)
        try:
            os.chown(log, -1, grp.getgrnam("adm").gr_gid)
        except KeyError:
            return


def _prune(host: Host, site: Site) -> None:
    """Leave no certificate and no key that nothing refers to any more."""
    for path in host.at(site.home).glob("*"):
        if path.name not in {*site.files, *site.beside}:
            remove(path)


def _text(host: Host, site: Site) -> bytes:
    """The text as it shall be: what arrived, or what is there already."""
    blob = host.blob(site.choice(host).need)
    return (blob if blob.exists() else host.at(site.path)).read_bytes()


def _take(host: Host, site: Site) -> None:
    """Start nginx or have it reload, and wait until it runs with the site."""
    log = host.at(ERROR_LOG)
    size = log.stat().st_size if log.exists() else 0
    start_or_reload(host)
    until, right = time.monotonic() + TAKES_SECONDS, 0
    while right < RIGHT_IN_A_ROW:
        right = 0 if site.drift(host) else right + 1
        if not right and (time.monotonic() > until or _gave_up(log, size)):
            raise Failure(
                "nginx does not take the new configuration",
                details="\n".join(_said(log, size)) or str(site.drift(host)),
                hint="mend what it says, then deploy again",
            )
        time.sleep(PAUSE_SECONDS)


def _gave_up(log: Path, size: int) -> bool:
    return any("still could not bind" in line for line in _said(log, size))


def _said(log: Path, size: int) -> List[str]:
    """What nginx called an emergency since then."""
    if not log.exists():
        return []
    with open(log, errors="replace") as text:
        text.seek(size if size <= log.stat().st_size else 0)
        lines = [line.strip() for line in text]
    return [line for line in dict.fromkeys(lines) if "[emerg]" in line or "[alert]" in line][-10:]


def _kept(path: Path) -> Kept:
    if path.is_symlink():
        return os.readlink(path)
    return path.read_bytes() if path.exists() else None
