"""Whether nginx would accept a site: the whole configuration is tested as it would be, before anything is replaced."""

from __future__ import annotations

import re
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Iterator, List, Set

from carboy.applier.host import Host, remove, write
from carboy.applier.nginx.control import PROGRAM
from carboy.applier.nginx.process import CONFIG
from carboy.applier.nginx.site import STOCK, Site
from carboy.applier.resource import Failure

INCLUDE = re.compile(r"^([ \t]*)include[ \t]+([^;\n]+);", re.MULTILINE)
CONFLICT = re.compile(r'conflicting server name "([^"]*)" on (\S+), ignored')

ADVICE = {
    "duplicate default server": "another site answers for every name here: set app_domain",
    "Address family not supported": "this host has no IPv6: set nginx_ipv6: false",
}


def superseded(host: Host, site: Site) -> List[Path]:
    """What gives way to the site: Debian's welcome page, and the app's own site in another folder that nginx reads."""
    patterns = [_pattern(host, match) for match in INCLUDE.finditer(host.at(CONFIG).read_text(errors="replace"))]
    own = {Path(pattern).with_name(site.file) for pattern in patterns if fnmatch(site.file, Path(pattern).name)}
    found = sorted(path for path in own - {host.at(site.path)} if path.exists())
    return [host.at(STOCK), *found] if site.welcomes(host) else found


def check(host: Host, site: Site, text: bytes, leave_out: List[Path]) -> None:
    """Raise `Failure` if nginx refuses the site, ignores a part of it, or could not listen where it says."""
    for port in site.ports:
        _free(host, port)
    place = host.at(site.path)
    whole = _whole(host, place, leave_out)
    # Beside the others, where relative names in it mean the same; hidden, so that no pattern includes it.
    with _there(_draft(place), text), _there(host.at(CONFIG).with_name(".nginx.conf.carboy"), whole) as candidate:
        done = host.call(PROGRAM, "-t", "-c", str(candidate))
    said = done.stderr.replace(str(_draft(place)), site.path).replace(str(candidate), CONFIG).strip()
    if done.returncode:
        raise _refused(host, site, said)
    _unheard(host, said)


def _whole(host: Host, place: Path, leave_out: List[Path]) -> bytes:
    """nginx.conf with the draft in the place of the site, wherever that is included, and without what gives way."""
    found: List[Path] = []

    def unfolded(match: "re.Match[str]") -> str:
        pattern = _pattern(host, match)
        own = [path for path in (place, *leave_out) if _covers(pattern, path)]
        if not own:
            return match[0]
        found.extend(path for path in own if path == place)
        there = (path for path in Path(pattern).parent.glob(Path(pattern).name) if path.name[0] != ".")
        kept = [_draft(place) if path == place else path for path in sorted({*there, *own} - {*leave_out})]
        return "\n".join("%sinclude %s;" % (match[1], path) for path in kept)

    text = INCLUDE.sub(unfolded, host.at(CONFIG).read_text(errors="replace"))
    if not found:
        raise Failure(
            "nginx does not read %s" % place.parent,
            details="no include in %s covers %s" % (CONFIG, place.name),
            hint="set nginx_folder to a folder that it includes, such as /etc/nginx/conf.d",
        )
    return text.encode()


def _pattern(host: Host, match: "re.Match[str]") -> str:
    return str(host.at(CONFIG).parent / match[2].strip().strip("\"'"))


def _covers(pattern: str, path: Path) -> bool:
    return fnmatch(str(path), pattern) and path.parent == Path(pattern).parent


def _draft(place: Path) -> Path:
    return place.with_name(".%s.carboy" % place.name)


def _refused(host: Host, site: Site, said: str) -> Failure:
    """Whose fault it is: what was refused before this change already is not the app's."""
    if host.call(PROGRAM, "-t").returncode and site.path not in said:
        return Failure(
            "nginx's configuration on this host is broken, even without this app",
            details=said,
            hint="mend the file that it names, then deploy again",
        )
    advice = next((text for words, text in ADVICE.items() if words in said), "correct the setting that it is about")
    hint = "%s; nothing was replaced, and nginx serves on" % advice
    return Failure("nginx refuses the new configuration", details=said, hint=hint)


def _unheard(host: Host, said: str) -> None:
    """Refuse a name that another site has, too: nginx would ignore one of the two, with a mere warning."""
    new = _conflicts(said)
    new -= _conflicts(host.call(PROGRAM, "-t").stderr) if new else set()
    if new:
        raise Failure(
            "another site of this host answers for %s already" % ", ".join(sorted(new)),
            details=said,
            hint="take the name out of that site, or choose another app_domain; nothing was replaced",
        )


def _conflicts(said: str) -> Set[str]:
    return {"%s on %s" % each for each in CONFLICT.findall(said)}


def _free(host: Host, port: int) -> None:
    """Raise `Failure` if another program than nginx holds a port: nginx -t would not say so."""
    holders = host.call("ss", "-Hltnp", "sport = :%d" % port).stdout
    if holders.strip() and '"nginx"' not in holders:
        names = sorted(set(re.findall(r'\("([^"]+)",pid=(\d+)', holders)))
        who = ", ".join("%s (%s)" % each for each in names) or "another program"
        raise Failure(
            "port %d is taken by %s" % (port, who),
            details=holders.strip(),
            hint="stop that, or choose other ports: nginx_port, nginx_tls_port",
        )


@contextmanager
def _there(path: Path, text: bytes) -> Iterator[Path]:
    """Have a file for the length of a block."""
    write(path, text)
    try:
        yield path
    finally:
        remove(path)
