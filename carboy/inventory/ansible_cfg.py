"""An ansible.cfg beside an inventory: what it says of hosts is refused, unless the inventory says it too."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from configparser import ConfigParser, Error
from dataclasses import dataclass
from pathlib import Path

from carboy.errors import DeclarationError
from carboy.inventory.host import Host

_LEADS_ELSEWHERE = r"(?i)proxy|\b(host|host ?name|user|port|identity ?file)\b\s*[= ]|(^|\s)-[FJlpi]"
_OF_READING = (
    ("defaults", "hash_behaviour"),
    ("defaults", "precedence"),
    ("defaults", "yaml_valid_extensions"),
    ("defaults", "force_valid_group_names"),
    ("defaults", "vars_plugins_enabled"),
    ("defaults", "inventory_ignore_extensions"),
    ("defaults", "inventory_ignore_patterns"),
    ("inventory", "ignore_extensions"),
    ("inventory", "ignore_patterns"),
)
_USUAL: Mapping[str, tuple[str, ...]] = {
    "become_user": ("root",),
    "become_method": ("sudo", "ansible.builtin.sudo"),
    "hash_behaviour": ("replace",),
    "force_valid_group_names": ("never", "ignore"),
    "vars_plugins_enabled": ("host_group_vars",),
}
_OPTIONS = ("ansible_ssh_common_args", "ansible_ssh_args", "ansible_ssh_extra_args")
_OF_CONNECTING: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("defaults", "remote_user"): ("ansible_user", "ansible_ssh_user"),
    ("defaults", "remote_port"): ("ansible_port", "ansible_ssh_port"),
    ("defaults", "private_key_file"): ("ansible_ssh_private_key_file", "ansible_private_key_file"),
    ("privilege_escalation", "become_user"): ("ansible_become_user",),
    ("privilege_escalation", "become_method"): ("ansible_become_method",),
    ("ssh_connection", "ssh_args"): _OPTIONS,
    ("ssh_connection", "ssh_common_args"): _OPTIONS,
    ("ssh_connection", "ssh_extra_args"): _OPTIONS,
}
"""What ansible.cfg may say of every connection, with the variables that say it of a host, the usual one first."""


@dataclass(frozen=True)
class Unread:
    """A setting of an ansible.cfg that says how to connect, and the variables that say the same of a host."""

    where: str
    setting: str
    variables: Sequence[str]

    def check(self, host: Host) -> None:
        """Raise DeclarationError if the inventory does not say it of the host."""
        if not host.local and not any(name in host.variables for name in self.variables):
            what = (
                f"ansible.cfg says how to connect to {host.name}, and only the inventory is asked here: {self.setting}"
            )
            raise DeclarationError(what, where=self.where, hint=f"say it as {self.variables[0]} in group_vars/all.yml")


def unread(config: Path) -> Iterator[Unread]:
    """What the file says of connections; DeclarationError if it changes how Ansible reads inventories."""
    settings = _settings(config)
    for section, key in _OF_READING:
        value = settings.get((section, key), "")
        if value and value not in _USUAL.get(key, ()):
            what = f"ansible.cfg sets {key}, which changes how the inventory is read and is not followed here"
            raise DeclarationError(what, where=f"{config} [{section}]", hint="remove it there, and write variables out")
    for (section, key), names in _OF_CONNECTING.items():
        value = settings.get((section, key), "")
        harmless = value in _USUAL.get(key, ()) or (names is _OPTIONS and not re.search(_LEADS_ELSEWHERE, value))
        if value and not harmless:
            yield Unread(f"{config} [{section}]", f"{key} = {value}", names)


def _settings(config: Path) -> dict[tuple[str, str], str]:
    parser = ConfigParser(inline_comment_prefixes=(";",), interpolation=None)
    try:
        parser.read_string(config.read_text("utf-8"))
    except (Error, OSError, ValueError) as error:
        raise DeclarationError(f"not to be read: {str(error).splitlines()[0]}", where=str(config)) from error
    return {(name, key): value.strip() for name in parser.sections() for key, value in parser.items(name)}
