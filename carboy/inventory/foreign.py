"""Variables of Ansible's that say where or as whom to connect, and that Carboy does not follow: never passed over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from carboy.errors import DeclarationError
from carboy.inventory.origin import Origin

_KEY = "keep the key in a file and name it in ansible_ssh_private_key_file, or load it into the agent"
_CLIENT = "Carboy is an ssh client itself; its options stand in ~/.ssh/config or ansible_ssh_common_args"
_SUDO = "have sudo in the PATH and allow it root, or log in as root with ansible_become: false"

REFUSED: Mapping[str, str] = {
    "ansible_private_key": _KEY,
    "ansible_ssh_private_key": _KEY,
    "ansible_ssh_pkcs11_provider": "load the provider into the agent: ssh-add -s",
    "ansible_ssh_executable": _CLIENT,
    "ansible_sudo_user": "write ansible_become_user, which can only be root",
    "ansible_become_exe": _SUDO,
    "ansible_sudo_exe": _SUDO,
    "ansible_sudo_chdir": "remove it: Carboy's program needs no working directory",
    "ansible_paramiko_host": "write ansible_host",
    "ansible_paramiko_port": "write ansible_port",
    "ansible_paramiko_user": "write ansible_user",
    "ansible_paramiko_pass": "write ansible_password",
    "ansible_paramiko_password": "write ansible_password",
    "ansible_paramiko_private_key_file": "write ansible_ssh_private_key_file",
    "ansible_paramiko_proxy_command": "write ansible_ssh_common_args: -o ProxyCommand=...",
}
"""Each with what to write instead."""


def refuse_foreign(host: str, variables: Mapping[str, Any], origins: Mapping[str, Origin]) -> None:
    """Raise DeclarationError if any of these is set."""
    for name in REFUSED.keys() & variables.keys():
        if variables[name] is not None:
            where = f"{origins.get(name, name)} (host {host})"
            raise DeclarationError(f"{name} is not followed here", where=where, hint=REFUSED[name])
