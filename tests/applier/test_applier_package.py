"""Package and User: what dpkg and the user database say, read without asking any program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from carboy.applier.apt import LOCK, holder
from carboy.applier.host import Host
from carboy.applier.package import Package
from carboy.applier.resource import Failure
from carboy.applier.user import User
from tests.support.trees import fill, snapshot

STATUS = """\
Package: logrotate
Status: install ok installed
Version: 3.21.0-1
Description: Log rotation utility
 Package: nginx is not installed by a line like this one.

Package: nginx
Status: deinstall ok config-files
Version: 1.22

Package: curl
Essential: yes
Status: install ok installed
Version: 7.88
"""
HOLD = """
import fcntl, sys
lock = open(sys.argv[1], "w")
fcntl.lockf(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def dpkg(host: Host) -> Host:
    """A host with two packages installed and a third removed."""
    fill(host.root, {"var/lib/dpkg/status": STATUS})
    return host


def test_installed_packages_do_not_drift(dpkg: Host) -> None:
    """A package is installed if dpkg says so, wherever in its entry; reading changes nothing."""
    before = snapshot(dpkg.root)
    assert Package(("logrotate", "curl")).drift(dpkg) == {}
    assert snapshot(dpkg.root) == before


@pytest.mark.parametrize("name", ["nginx", "log", "absent"])
def test_what_is_not_installed_drifts(dpkg: Host, name: str) -> None:
    """A removed package with its configuration left, a part of a name, an unknown name: none is installed."""
    assert Package(("curl", name)).drift(dpkg) == {name: (False, True)}


def test_a_host_without_dpkg_says_what_is_missing(host: Host) -> None:
    """Where there is no apt-get the failure names the packages that a person has to install."""
    package = Package(("curl", "logrotate"))
    with pytest.raises(Failure, match="curl logrotate"):
        package.repair(host, package.drift(host))


def test_the_holder_of_the_package_database_is_named(dpkg: Host) -> None:
    """While another process holds dpkg's lock its name and number are known; free or absent, there is no holder."""
    assert holder(dpkg) == ""
    lock = fill(dpkg.root, {LOCK.lstrip("/"): ""}) / LOCK.lstrip("/")
    assert holder(dpkg) == ""
    with subprocess.Popen([sys.executable, "-c", HOLD, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout and other.stdout.readline() == b"held\n"
        fill(dpkg.root, {f"proc/{other.pid}/comm": "apt-get\n"})
        assert holder(dpkg) == f"apt-get ({other.pid})"
        other.communicate()


def test_users_are_read_as_they_are(host: Host) -> None:
    """A user who is there as declared does not drift; another shell is drift of that alone; no user, of everything."""
    assert User("root", home="/root", shell=_shell_of_root()).drift(host) == {}
    assert list(User("root", home="/root", shell="/bin/other").drift(host)) == ["shell"]
    assert set(User("nobody-of-this-name", home="/x").drift(host)) == {"home", "shell", "group"}


def _shell_of_root() -> str:
    return Path("/etc/passwd").read_text().partition("\n")[0].rpartition(":")[2]
