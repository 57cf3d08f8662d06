"""What the sandbox leaves in the checkout's `.carboy/`: a key pair, and three files that say how to reach the hosts."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from carboy.sandbox.errors import SandboxError

if TYPE_CHECKING:
    from carboy.sandbox.container import ContainerHost

Hosts = dict[str, dict[str, Any]]


def checkout(state: Path) -> str:
    """Return the short name that tells this checkout's containers from those of another."""
    return hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:8]


def key_pair(state: Path) -> Path:
    """Return the private key of the container hosts, made at the first call."""
    key = state.resolve() / "id_ed25519"
    if not key.exists():
        key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with alone(key.parent):
            if not key.exists():
                _generate(key)
    return key


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let one process at a time do something in a folder."""
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def public_key(key: Path) -> str:
    """Return the public half of a key pair as one line."""
    return key.with_suffix(".pub").read_text().strip()


def inventory(state: Path) -> Path:
    """Return where the inventory of the container hosts is written."""
    return state.resolve() / "inventory" / "hosts.yml"


def hosts(state: Path) -> Hosts:
    """Return the variables of each host that is written down, {} before the first."""
    path = inventory(state)
    return yaml.safe_load(path.read_text())["all"]["hosts"] if path.exists() else {}


def remember(host: ContainerHost, state: Path) -> None:
    """Write down how a host is reached, in place of what was known of one with its name."""
    known = _pins(state)
    known[f"[{host.address}]:{host.port}"] = host.host_key
    _write(state, {**hosts(state), host.name: _variables(host)}, known)


def forget(name: str, state: Path) -> None:
    """Take a host out of the files."""
    rest = {other: variables for other, variables in hosts(state).items() if other != name}
    _write(state, rest, _pins(state))


def _variables(host: ContainerHost) -> dict[str, Any]:
    return {
        "ansible_host": host.address,
        "ansible_port": host.port,
        "ansible_user": host.user,
        "ansible_ssh_private_key_file": str(host.key_file),
        **({"sandbox_url": host.url} if host.url else {}),
        "carboy_reboot_command": f"{host.container.engine.name} restart {host.container.name}",
    }


def _pins(state: Path) -> dict[str, str]:
    path = state / "known_hosts"
    lines = path.read_text().splitlines() if path.exists() else []
    return {line.partition(" ")[0]: line.partition(" ")[2] for line in lines}


def _write(state: Path, entries: Hosts, known: dict[str, str]) -> None:
    # Ports are reused: a pin that outlives its host would make a later one look like an attack.
    used = [f"[{entry['ansible_host']}]:{entry['ansible_port']}" for entry in entries.values()]
    _replace(state / "known_hosts", "".join(f"{place} {known[place]}\n" for place in used))
    _replace(state / "ssh_config", "\n".join(_ssh_config(state, entries)))
    _replace(inventory(state), yaml.safe_dump({"all": {"hosts": entries}}, sort_keys=False))


def _ssh_config(state: Path, entries: Hosts) -> Iterator[str]:
    for name, entry in entries.items():
        yield f"Host {name}"
        yield f"    HostName {entry['ansible_host']}"
        yield f"    Port {entry['ansible_port']}"
        yield f"    User {entry['ansible_user']}"
        yield f"    IdentityFile {_quoted(entry['ansible_ssh_private_key_file'])}"
        yield "    IdentitiesOnly yes"
        yield f"    UserKnownHostsFile {_quoted(state.resolve() / 'known_hosts')}"
        yield "    GlobalKnownHostsFile /dev/null"
        yield "    StrictHostKeyChecking yes\n"


def _quoted(path: Path | str) -> str:
    return '"' + str(path).replace("%", "%%") + '"'


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.write_text(text)
    unfinished.chmod(0o600)
    unfinished.replace(path)


def _generate(key: Path) -> None:
    draft = key.with_name("draft")
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "carboy", "-f", str(draft)]
    draft.unlink(missing_ok=True)
    try:
        subprocess.run(command, stdin=subprocess.DEVNULL, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SandboxError(f"the sandbox's key pair cannot be made: {error}", hint="install openssh-client") from error
    # The private half last, for it is what others look for.
    draft.with_suffix(".pub").replace(key.with_suffix(".pub"))
    draft.replace(key)
