"""A host: its variables, and how to connect to it, read from Ansible's own variables."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from carboy.errors import DeclarationError
from carboy.inventory.foreign import refuse_foreign
from carboy.inventory.origin import Origin
from carboy.inventory.references import References
from carboy.inventory.sealed import opened

T = TypeVar("T")

_SUPPORTED = {
    "ansible_connection": ("ssh", "paramiko_ssh", "smart", "local"),
    "ansible_become_user": ("root",),
    "ansible_become_method": ("sudo",),
}
_WHY_NOT = {
    "ansible_become_user": "units, users and folders are root's to make; the app itself runs as a user of its own",
    "ansible_become_method": "Carboy becomes root by sudo alone, or logs in as root",
}
_SSH_OPTIONS = ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args")
_KEY_FILE = ("ansible_private_key_file", "ansible_ssh_private_key_file")
_DISCOVERED = ("auto", "auto_legacy", "auto_silent", "auto_legacy_silent")
_YES = ("y", "yes", "on", "1", "true", "t")
_NO = ("n", "no", "off", "0", "false", "f")


@dataclass(frozen=True)
class Host:
    """A host of the inventory; its properties are checked when they are read, and raise DeclarationError."""

    name: str
    # Not in the repr: any of these may be a secret.
    variables: Mapping[str, Any] = field(hash=False, repr=False)
    origins: Mapping[str, Origin] = field(hash=False, repr=False)
    groups: tuple[str, ...] = ()
    """The groups it is in, sorted, without `all`."""

    @cached_property
    def _references(self) -> References:
        return References(self.variables, self.origins)

    def value(self, name: str) -> Any:
        """A variable with its references filled in and all that is encrypted in it opened, None if there is none."""
        return opened(self.sealed(name))

    def sealed(self, name: str) -> Any:
        """The same with what is encrypted still closed."""
        return self._references.value(name) if name in self.variables else None

    def read(self, name: str, convert: Callable[[Any], T]) -> T:
        """A variable as `convert` takes it, which opens what it needs and raises ValueError for what it does not take.

        With `-e name=123` the text that was typed is tried too: only the reader knows whether a number is meant.
        """
        origin = self.origins.get(name)
        try:
            return convert(self.sealed(name))
        except ValueError:
            if not origin or origin.typed is None:
                raise
            return convert(origin.typed)

    def where(self, name: str) -> str:
        """Where a variable was written, for an error."""
        return f"{self.origins.get(name, name)} (host {self.name})"

    @property
    def address(self) -> str:
        """The name or address to connect to."""
        return self._read(_text, "ansible_host", "ansible_ssh_host") or self.name

    @property
    def port(self) -> int | None:
        """The port that sshd listens on; None to have ssh's configuration say."""
        return self._read(_port, "ansible_port", "ansible_ssh_port")

    @property
    def user(self) -> str | None:
        """The user to log in as; None to have ssh's configuration say."""
        return self._read(_text, "ansible_user", "ansible_ssh_user")

    @property
    def key_file(self) -> Path | None:
        """The private key to log in with; a relative path starts at the current directory."""
        return self._read(_path, *_KEY_FILE)

    @property
    def passphrase(self) -> str | None:
        """What opens that key."""
        return self._read(_text, "ansible_private_key_passphrase", "ansible_ssh_private_key_passphrase")

    @property
    def ssh_options(self) -> tuple[str, ...]:
        """Options for ssh, as on its command line."""
        return tuple(word for name in _SSH_OPTIONS for word in self._read(_options, name) or ())

    @property
    def password(self) -> str | None:
        """The password to log in with."""
        return self._read(_text, "ansible_password", "ansible_ssh_pass", "ansible_ssh_password")

    @property
    def local(self) -> bool:
        """Whether it is this machine itself, as the user who calls."""
        return self._read(_text, "ansible_connection") in ("local", "ansible.builtin.local")

    @property
    def become(self) -> bool:
        """Whether sudo is needed to be root; this machine is never touched as root."""
        found = self._read(_yes_or_no, "ansible_become")
        return not self.local if found is None else found

    @property
    def become_password(self) -> str | None:
        """The password for sudo."""
        return self._read(_text, "ansible_become_password", "ansible_become_pass", "ansible_sudo_pass")

    @property
    def python(self) -> str:
        """The Python on the host."""
        found = self._read(_text, "ansible_python_interpreter")
        if found in (None, *_DISCOVERED):
            return sys.executable if self.local else "python3"
        return str(found)

    @property
    def connect_timeout(self) -> int | None:
        """How many seconds a connection may take to come up; None to have ssh's configuration say."""
        return self._read(_seconds, "ansible_timeout", "ansible_ssh_timeout")

    def check(self) -> None:
        """Raise DeclarationError if Carboy cannot connect in the way that is declared."""
        for name, known in _SUPPORTED.items():
            found = self._read(_text, name)
            if found is not None and found.removeprefix("ansible.builtin.") not in known:
                what = f"{name} {found!r} is not supported"
                why = f"; {_WHY_NOT[name]}" if name in _WHY_NOT else ""
                hint = f"use {' or '.join(known)}, or remove it{why}"
                raise DeclarationError(what, where=self.where(name), hint=hint)
        refuse_foreign(self.name, self.variables, self.origins)
        if self.local and self.become:
            what = "ansible_become is not supported with ansible_connection: local"
            raise DeclarationError(what, where=self.where("ansible_become"), hint="remove one of them")
        _ = (self.address, self.port, self.user, self._read(_existing, *_KEY_FILE), self.password)
        _ = (self.become, self.become_password, self.python, self.connect_timeout, self.passphrase, self.ssh_options)

    def _read(self, convert: Callable[[Any], T], *names: str) -> T | None:
        # Ansible has several names for most of these; the last that is set wins.
        given = [name for name in names if self.value(name) is not None]
        if not given:
            return None
        try:
            return self.read(given[-1], lambda value: convert(opened(value)))
        except ValueError as error:
            raise DeclarationError(
                f"{given[-1]} {error}", where=self.where(given[-1]), hint="correct it there"
            ) from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text; quote it")
    if not value or "\0" in value or "\n" in value:
        raise ValueError("must be one line of text")
    return value


def _whole(value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("must be a whole number")
    return value


def _port(value: Any) -> int:
    number = _whole(value)
    if not 1 <= number <= 65535:
        raise ValueError(f"must be between 1 and 65535, not {number}")
    return number


def _seconds(value: Any) -> int:
    number = _whole(value)
    if number < 1:
        raise ValueError("must be at least 1 second")
    return number


def _path(value: Any) -> Path:
    try:
        return Path(_text(value)).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{value!r} starts at the home of a user who has none") from error


def _options(value: Any) -> tuple[str, ...]:
    from carboy.ssh.options import words  # here, because few inventories have any

    return words(_text(value)) if value else ()


def _existing(value: Any) -> Path:
    path = _path(value)
    if not path.is_file():
        raise ValueError(f"names a file that is not there: {path}")
    return path


def _yes_or_no(value: Any) -> bool:
    word = str(value).lower() if isinstance(value, (str, int)) else ""
    if word not in (*_YES, *_NO):
        raise ValueError("must be yes or no")
    return word in _YES
