"""One sshd as the inventory and ssh's configuration describe it, and the jumps on the way to it."""

from __future__ import annotations

import getpass
import os
import pwd
import re
import socket
from dataclasses import dataclass, field, replace
from pathlib import Path

from carboy.errors import DeclarationError
from carboy.inventory import Host
from carboy.project import STATE
from carboy.ssh import config
from carboy.ssh.config import Settings

DEFAULT_PORT = 22
DEFAULT_SECONDS = 10
LONGEST_WAY = 8
IDENTITIES = tuple(f"~/.ssh/id_{kind}" for kind in ("rsa", "ecdsa", "ed25519"))
SYSTEM_KNOWN_HOSTS = "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"
KNOWN_HOSTS = "~/.ssh/known_hosts ~/.ssh/known_hosts2"
SANDBOX_KNOWN_HOSTS = STATE / "known_hosts"
TOKEN = re.compile("%(.)")
JUMP = re.compile(r"(?:ssh://)?(?:(?P<user>.+)@)?(?:\[(?P<v6>[^]]+)]|(?P<name>[^:/]+))(?::(?P<port>\d+))?/?")


@dataclass(frozen=True)
class Endpoint:
    """An sshd, and how to get in."""

    host: str
    """The host of the inventory that it is, or that it is a jump to."""
    name: str
    """By what it was looked up in ssh's configuration."""
    address: str
    port: int
    user: str
    timeout: int
    settings: Settings = field(repr=False)
    jump: Endpoint | None = None
    """What the way leads through."""
    is_jump: bool = False
    key_file: Path | None = None
    """The inventory's own key, beside which no other one counts."""
    passphrase: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @property
    def where(self) -> str:
        """Which host, and which login, for errors."""
        via = f" through {self.jump}" if self.jump else ""
        return f"host {self.host} ({self}{via})"

    @property
    def way(self) -> tuple[Endpoint, ...]:
        """The jumps, then the sshd itself: through one that nobody knows there is no way to the next."""
        return (*(self.jump.way if self.jump else ()), self)

    @property
    def title(self) -> str:
        """What people know it by."""
        return f"the jump {self.name} to {self.host}" if self.is_jump else self.host

    @property
    def command(self) -> str:
        """What a person types to get there with plain ssh."""
        return f"ssh -p {self.port} {self.user}@{self.name}"

    @property
    def pin_name(self) -> str:
        """The name in known_hosts: the address, with the port where that is not 22."""
        address = self.address.lower()
        return self.one("hostkeyalias") or (address if self.port == DEFAULT_PORT else f"[{address}]:{self.port}")

    @property
    def known_hosts(self) -> tuple[Path, ...]:
        """The files with pinned keys; the first one is where a new one goes."""
        own = self.one("userknownhostsfile")
        # Who keeps no keys at all must still pin them for Carboy.
        own = KNOWN_HOSTS if own in ("", "/dev/null", "none", _expanded_default()) else own
        everybody = self.one("globalknownhostsfile") or SYSTEM_KNOWN_HOSTS
        return (*map(self.path, own.split()), *map(self.path, everybody.split()), SANDBOX_KNOWN_HOSTS)

    @property
    def identities(self) -> tuple[Path, ...]:
        """The key files to try."""
        if self.key_file:
            return (self.key_file,)
        return tuple(self.path(file) for file in self.settings.get("identityfile", IDENTITIES) if file != "none")

    @property
    def proxy_command(self) -> str:
        """The program that is the line to it; none if empty."""
        found = self.one("proxycommand")
        return "" if found == "none" else self.filled(found)

    def one(self, key: str) -> str:
        """A setting of ssh's configuration, empty if there is none."""
        return self.settings.get(key, ("",))[0]

    def path(self, text: str) -> Path:
        """A file that ssh's configuration names."""
        return Path(os.path.expandvars(self.filled(text))).expanduser()

    def filled(self, text: str) -> str:
        """The text with ssh's tokens filled in; raises DeclarationError for those that only ssh knows."""
        if "%" not in text:
            return text
        values = {
            "%": "%",
            "h": self.address,
            "n": self.name,
            "p": str(self.port),
            "r": self.user,
            "u": _local_user(),
            "d": str(config.home()),
            "l": socket.gethostname(),
            "L": socket.gethostname().partition(".")[0],
            "i": str(os.getuid()),
        }

        def value(found: re.Match[str]) -> str:
            if found[1] in values:
                return values[found[1]]
            what = f"ssh's configuration has {found[0]} in {text!r}, which Carboy does not fill in"
            raise DeclarationError(what, where=self.where, hint="write out what it stands for")

        return TOKEN.sub(value, text)

    def __str__(self) -> str:
        return f"{self.user}@{self.address}:{self.port}"


def endpoint(host: Host) -> Endpoint:
    """Where a host of the inventory is; raises DeclarationError if ssh's configuration leads nowhere.

    The inventory wins over ssh's configuration, as it does where Ansible calls `ssh` with the host's address.
    """
    options = (*_flag("-p", host.port), *_flag("-l", host.user), *host.ssh_options)
    settings = config.lookup(host.address, options)
    made = _made(host.name, host.address, settings, jump=_jump(host.name, settings, _file(host.ssh_options)))
    return replace(
        made,
        port=host.port or made.port,
        user=host.user or made.user,
        timeout=host.connect_timeout or made.timeout,
        key_file=host.key_file,
        passphrase=host.passphrase,
        password=host.password,
    )


def _made(host: str, name: str, settings: Settings, *, jump: Endpoint | None) -> Endpoint:
    def one(key: str) -> str:
        return settings.get(key, ("",))[0]

    wait = one("connecttimeout")
    return Endpoint(
        host=host,
        name=name,
        address=one("hostname") or name,
        port=int(one("port") or DEFAULT_PORT),
        user=one("user") or _local_user(),
        # To ssh 0 is no limit, and a run must end.
        timeout=(int(wait) if wait.isdigit() else 0) or DEFAULT_SECONDS,
        settings=settings,
        jump=jump,
    )


def _jump(host: str, settings: Settings, file: tuple[str, ...], hops: int = LONGEST_WAY) -> Endpoint | None:
    """The last jump of those that are named, reached through the ones before it, or as its own settings say."""
    *before, last = settings.get("proxyjump", ("none",))[0].split(",")
    if last == "none":
        return None
    place = JUMP.fullmatch(last)
    if not hops or not place:
        what = f"ssh's configuration jumps {'in a circle' if place else 'nowhere'}: ProxyJump {last}"
        hint = "keep the jump itself out of it: ProxyJump none, in a block before that one"
        raise DeclarationError(what, where=f"host {host}", hint=hint)
    name = place["v6"] or place["name"]
    options = (*_flag("-p", place["port"]), *_flag("-l", place["user"]), *_flag("-J", ",".join(before)), *file)
    found = config.lookup(name, options)
    return replace(_made(host, name, found, jump=_jump(host, found, file, hops - 1)), is_jump=True)


def _flag(flag: str, value: object) -> tuple[str, ...]:
    return (flag, str(value)) if value else ()


def _file(options: tuple[str, ...]) -> tuple[str, ...]:
    """The configuration file among the options: the only one that ssh passes on to a jump."""
    at = options.index("-F") if "-F" in options else len(options)
    return options[at : at + 2]


def _local_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError) as error:
        raise DeclarationError("the local user has no name", hint="set ansible_user") from error


def _expanded_default() -> str:
    """How ssh prints the files that it takes if none is named."""
    return KNOWN_HOSTS.replace("~", pwd.getpwuid(os.getuid()).pw_dir)
