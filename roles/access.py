"""How people get in: sshd, sudo, keys, firewall. All of it changes under a dead-man switch, so nobody is locked out."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from carboy.applier.file import File
from carboy.applier.guarded import Guarded, Part
from carboy.applier.keys import Keys
from carboy.applier.link import Link
from carboy.applier.package import Package
from carboy.applier.resource import Resource
from carboy.catalog import Content
from carboy.inventory import Host
from carboy.project import ROOT
from carboy.settings import Duration
from carboy.ssh.endpoint import endpoint
from roles.app import Settings as App

SSHD_CHECK = "sh -c 'cat {} /etc/ssh/sshd_config | /usr/sbin/sshd -t -f /dev/stdin'"
"""The candidate and then the rest: sshd takes the first value that it meets, and the file sorts before all others."""
SSHD_RESTART = "systemctl restart ssh"
"""Not reload: a restart ends when the new configuration is in force, and says so if sshd did not come up with it."""
NFT_KEEP = "{ echo flush ruleset; nft list ruleset; } >rules && nft -c -f rules"
NFT_WANTS = "/etc/systemd/system/sysinit.target.wants/nftables.service"
KEY = re.compile(r"(?:^|[ \t])((?:sk-)?(?:ssh|ecdsa)-[a-z0-9@.-]+) ([A-Za-z0-9+/]+=*)(?: |$)")


@dataclass(frozen=True)
class Settings:
    """`access_*`: what is not named stays as it is; confirm is the time in which a new login must work."""

    app: App
    sshd: dict[str, str] = field(default_factory=dict)
    sudoers: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    firewall: Path | None = None
    confirm: Duration = Duration(20)

    @property
    def ruleset(self) -> Path | None:
        """The nftables file on this machine."""
        return self.firewall and ROOT / self.firewall.expanduser()

    def validate(self) -> Iterator[tuple[str, ...]]:
        """What the types cannot say."""
        if self.app.runtime == "cron":
            yield "confirm", "the dead-man switch needs systemd's timers", "leave access out of carboy_roles"
        for name, value in self.sshd.items():
            if not re.fullmatch("[A-Za-z][A-Za-z0-9]*", name) or name.lower() in ("match", "include"):
                yield (
                    "sshd",
                    f"{name!r} is no option that holds for all logins",
                    "write a Match into a file of your own",
                )
            if not _line(value):
                yield "sshd", f"the value of {name} is not one line of text"
        for line in self.sudoers:
            if not _line(line):
                yield "sudoers", f"{line!r} is not one line of text"
        for number, line in enumerate(self.keys, start=1):
            if not _line(line) or not _public_key(line):
                yield "keys", f"entry {number} is no public key", "copy the whole line of a .pub file"
        if self.ruleset and not self.ruleset.is_file():
            yield "firewall", f"there is no file {self.ruleset}"
        if not 1 <= self.confirm <= 3600:
            yield "confirm", f"{self.confirm:g} s is no time to log in within", "write 1s to 1h"


def resources(host: Host, s: Settings) -> Iterator[Resource]:
    """Declare what is set, as one change: it stays as a whole or goes back as a whole."""
    if s.ruleset:
        yield Package(("nftables",))
    parts = tuple(_parts(host, s))
    if parts:
        yield Guarded("access", parts, float(s.confirm))


def _parts(host: Host, s: Settings) -> Iterator[Part]:
    if s.keys:
        yield Part(Keys(endpoint(host).user, _text(*s.keys)))
    if s.sudoers:
        yield Part(File("/etc/sudoers.d/carboy", _text(*s.sudoers), "0440", check="visudo -cf {}"))
    if s.sshd:
        text = _text(*(f"{name} {value}" for name, value in s.sshd.items()))
        drop_in = File("/etc/ssh/sshd_config.d/00-carboy.conf", text, check=SSHD_CHECK)
        yield Part(drop_in, do=SSHD_RESTART, undo=f"systemctl reset-failed ssh; {SSHD_RESTART}")
    if s.ruleset:
        rules = File("/etc/nftables.conf", Content.of(s.ruleset), check="nft -c -f {}")
        yield Part(Link(NFT_WANTS, "/lib/systemd/system/nftables.service"))
        yield Part(rules, do="nft -f /etc/nftables.conf", undo="nft -f rules", keep=NFT_KEEP)


def _text(*lines: str) -> Content:
    return Content.of("".join(f"{line}\n" for line in ("# Written by Carboy.", *lines)))


def _line(text: str) -> bool:
    return text.isprintable() and bool(text.strip())


def _public_key(line: str) -> bool:
    """Whether a line holds a key: its bytes begin with the name of its type."""
    found = KEY.search(line)
    if not found or line.lstrip().startswith("#"):
        return False
    try:
        data = b64decode(found[2], validate=True)
    except ValueError:
        return False
    name = found[1].encode()
    return data.startswith(len(name).to_bytes(4, "big") + name) and len(data) > len(name) + 4
