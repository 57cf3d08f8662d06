"""The host itself: its Python, its clock, its disks, and who is at its packages."""

from __future__ import annotations

import os
import pwd
import sys
import time
from typing import Dict, Iterator, Tuple

from carboy.applier.apt import holder
from carboy.applier.checkup.finding import FAILED, WARNING, Finding, well
from carboy.applier.host import Host

OLDEST_PYTHON = (3, 9)
SKEW_SECONDS = 5.0
PLACES = ("/srv", "/var", "/tmp", "/run")
SCARCE_MB, TOO_FEW_MB = 500, 60


def root(host: Host) -> Iterator[Finding]:
    """Who runs this."""
    name = pwd.getpwuid(os.geteuid()).pw_name
    if os.geteuid() and host.args["runtime"] != "kubernetes":
        yield Finding(FAILED, "this runs as %s" % name, "set ansible_become: true, or log in as root")
    else:
        by = os.environ.get("SUDO_USER")
        yield well("%s%s" % (name, " by sudo of %s" % by if by else ""))


def python(host: Host) -> Iterator[Finding]:  # noqa: ARG001 - every check has this form
    """The Python that applies a catalog."""
    text = "%d.%d.%d (%s)" % (*sys.version_info[:3], sys.executable)
    if sys.version_info[:2] < OLDEST_PYTHON:
        yield Finding(FAILED, text, "3.9 or newer is needed: name one in ansible_python_interpreter")
    else:
        yield well(text)


def system(host: Host) -> Iterator[Finding]:
    """What is installed here."""
    release = host.at("/etc/os-release")
    lines = release.read_text().splitlines() if release.exists() else []
    names = [line.partition("=")[2].strip('"') for line in lines if line.startswith("PRETTY_NAME=")]
    kernel = os.uname()
    yield well("%s, %s, Linux %s" % ("".join(names) or "of unknown name", kernel.machine, kernel.release))


def language(host: Host) -> Iterator[Finding]:  # noqa: ARG001 - every check has this form
    """The locale of a login, on which nothing here depends."""
    import locale

    chosen = {name: os.environ[name] for name in ("LC_ALL", "LANG") if os.environ.get(name)}
    try:
        locale.setlocale(locale.LC_ALL, "")
        yield well(", ".join("%s=%s" % pair for pair in chosen.items()) or "none, which is C")
    except locale.Error:
        text = ", ".join("%s=%s" % pair for pair in chosen.items())
        yield Finding(WARNING, "%s is not installed" % text, "on the host: dpkg-reconfigure locales")


def clock(host: Host) -> Iterator[Finding]:
    """Whether it agrees with the controller's: names of runs and releases are times."""
    ahead = time.time() - host.args["now"]
    text = "%.1f s %s this machine's" % (abs(ahead), "ahead of" if ahead > 0 else "behind")
    if abs(ahead) < SKEW_SECONDS:
        yield well("agrees with this machine's to %.1f s" % abs(ahead))
    else:
        yield Finding(WARNING, text, "on the host: timedatectl set-ntp true; certificates and logs depend on it")


def disks(host: Host) -> Iterator[Finding]:
    """The room on each file system that a deploy writes to."""
    seen: Dict[int, Tuple[str, os.statvfs_result]] = {}
    for place in PLACES:
        path = host.at(place)
        if path.exists():
            seen.setdefault(path.stat().st_dev, (place, os.statvfs(path)))
    for place, found in seen.values():
        free = found.f_bavail * found.f_frsize / 1e6
        inodes = ", %d inodes" % found.f_favail if found.f_files else ""
        text = "%s: %.0f MB free%s" % (place, free, inodes)
        few = place != "/run" and (free < TOO_FEW_MB or (found.f_files and found.f_favail < 3000))
        state = FAILED if few else WARNING if place != "/run" and free < SCARCE_MB else ""
        yield Finding(state, text, "make room: see Disk full in docs/operations.md") if state else well(text)


def packages(host: Host) -> Iterator[Finding]:
    """Whether apt could install what is missing, if anything is."""
    if not host.at("/usr/bin/apt-get").exists():
        yield Finding(WARNING, "no apt-get", "what a role wants installed must be there already")
        return
    busy = holder(host)
    if busy:
        yield Finding(WARNING, "the package database is held by %s" % busy, "a deploy waits for it, up to 5 minutes")
    else:
        yield well("the package database is free")
