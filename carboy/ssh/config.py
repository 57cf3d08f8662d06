"""What ssh's own configuration says of a host: asked of ssh itself, which knows Include, Match and all the rest."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from carboy.errors import DeclarationError

Settings = Mapping[str, tuple[str, ...]]
"""Each setting's values by its name in small letters; what nobody has set may be missing."""

SYSTEM = Path("/etc/ssh/ssh_config")
WITHOUT_EFFECT = ("host", "include", "sendenv", "hashknownhosts", "gssapiauthentication")
"""All that distributions write there: with nothing else in it the file need not be read by ssh, which takes 10 ms."""
REFUSED = {
    "knownhostscommand": "none",
    "revokedhostkeys": "none",
    "proxyusefdpass": "no",
    "bindinterface": "none",
}
"""Settings that cannot be left out without harm, and do nothing here; with the value that means the same."""
WHOLE = ("/", "~", "%d", "${")
"""How a file's path begins that is the same wherever Carboy is called."""


def home() -> Path:
    """The home of whoever calls, which has ssh's files; by HOME, as for the sandbox and for tests."""
    return Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home() raises where there is none


def lookup(name: str, options: tuple[str, ...]) -> Settings:
    """What `ssh OPTIONS NAME` would go by; empty if nothing is configured.

    Raises DeclarationError for what ssh refuses, and for what Carboy cannot do.
    """
    own = home() / ".ssh/config"
    if not options and not own.exists() and _says_nothing(SYSTEM):
        return {}
    stamp = own.stat().st_mtime_ns if own.exists() else 0
    return _asked(name, (*_place(own, options), *options), stamp)


@cache
def _says_nothing(path: Path) -> bool:
    files = [path, *sorted(Path(f"{path}.d").glob("*.conf"))]
    lines = [line.split() for file in files if file.exists() for line in file.read_text(errors="replace").splitlines()]
    return all(not line or line[0].startswith("#") or line[0].lower() in WITHOUT_EFFECT for line in lines)


def _place(own: Path, options: tuple[str, ...]) -> tuple[str, ...]:
    """ssh looks for the home in the password database, whatever HOME says."""
    if "-F" in options or own.parents[1] == Path(pwd.getpwuid(os.getuid()).pw_dir):
        return ()
    return ("-F", str(own if own.exists() else SYSTEM))


@cache
def _asked(name: str, options: tuple[str, ...], stamp: int) -> Settings:  # noqa: ARG001 - what is cached goes with it
    if not shutil.which("ssh"):
        what = "there is a configuration of ssh, and no ssh on this machine to read it"
        raise DeclarationError(what, where=f"ssh host {name}", hint="install OpenSSH's client")
    # Its words on stderr may be a question of Match exec, and are shown only if it fails.
    done = subprocess.run(["ssh", "-T", "-G", *options, "--", name], capture_output=True, text=True, errors="replace")
    if done.returncode:
        said = done.stderr.strip().splitlines()
        what = f"ssh does not take its configuration: {' / '.join(said[-2:]) or 'it says nothing'}"
        raise DeclarationError(what, where=f"ssh host {name}", hint=f"correct it there; see: ssh -G {name}")
    return _checked(name, _parsed(done.stdout))


def _parsed(text: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        found[key.lower()] = (*found.get(key.lower(), ()), value)
    return found


def _checked(name: str, found: Settings) -> Settings:
    for key, harmless in REFUSED.items():
        if found.get(key, (harmless,))[0].lower() != harmless:
            what = f"ssh's configuration has {key} {found[key][0]}, which Carboy does not do"
            raise DeclarationError(what, where=f"ssh host {name}", hint=f"take it out for {name}; see: ssh -G {name}")
    for key in ("userknownhostsfile", "globalknownhostsfile"):
        relative = [word for word in found.get(key, ("",))[0].split() if not word.startswith(WHOLE) and word != "none"]
        if relative:
            # As ssh tells it, a blank in a name is the end of it.
            what = f"ssh's configuration has {key} with {relative[0]!r}, which is no whole path"
            hint = f"name files from / on, without blanks; see: ssh -G {name}"
            raise DeclarationError(what, where=f"ssh host {name}", hint=hint)
    return found
