"""Where the passwords of Ansible Vault come from: files, programs, and people."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from carboy.errors import DeclarationError

DEFAULT = "default"
PROMPT = "prompt"
_HINT = "see --vault-password-file and --vault-id"


@dataclass(frozen=True)
class Password:
    """One password by its label; it is fetched when something encrypted is met, and only once."""

    label: str
    source: str
    """A file, an executable one to be run, or `prompt`."""

    @cached_property
    def value(self) -> bytes:
        """The password; DeclarationError if there is none to be had."""
        found = self._asked() if self.source == PROMPT else self._read(Path(os.path.expandvars(self.source)))
        if not found:
            raise DeclarationError("the vault password is empty", where=self.source, hint=_HINT)
        return found

    def _asked(self) -> bytes:
        import getpass  # here, because few are asked

        # In the words by which programs that type passwords know Ansible's prompts.
        words = "Vault password: " if self.label == DEFAULT else f"Vault password ({self.label}): "
        try:
            # It would fall back to standard input, which may be anything.
            os.close(os.open("/dev/tty", os.O_RDWR))
            return getpass.getpass(words).strip().encode()
        except (OSError, EOFError):
            what = "there is no terminal to ask for the vault password"
            raise DeclarationError(what, hint="give it with --vault-password-file FILE") from None

    def _read(self, path: Path) -> bytes:
        path = path.expanduser()
        try:
            return self._run(path) if path.is_file() and os.access(path, os.X_OK) else _text(path)
        except OSError as problem:
            what = f"the vault password file cannot be {'run' if os.access(path, os.X_OK) else 'read'}"
            raise DeclarationError(f"{what}: {problem.strerror}", where=str(path), hint=_HINT) from None

    def _run(self, path: Path) -> bytes:
        """What a program says; one whose name ends in -client is told which password is wanted."""
        told = ["--vault-id", self.label] if path.stem.endswith("-client") else []
        # What it says beside the password is for people, a prompt perhaps.
        done = subprocess.run([path.absolute(), *told], stdout=subprocess.PIPE)
        if done.returncode:
            what = f"the vault password program failed (exit {done.returncode})"
            raise DeclarationError(what, where=str(path), hint="run it by hand")
        return done.stdout.strip(b"\r\n")


def named(
    files: Sequence[str] = (), ids: Sequence[str] = (), *, ask: bool = False, environment: Mapping[str, str]
) -> list[Password]:
    """The passwords that options and Ansible's environment variables name, in the order in which they are tried."""
    listed = [entry.strip() for entry in environment.get("ANSIBLE_VAULT_IDENTITY_LIST", "").split(",")]
    last = environment.get("ANSIBLE_VAULT_PASSWORD_FILE", "")
    named_files = [Password(DEFAULT, file) for file in (*files, last) if file]
    return [*_labelled((*listed, *ids)), *named_files, *([Password(DEFAULT, PROMPT)] if ask else [])]


def _labelled(entries: Sequence[str]) -> Iterator[Password]:
    for entry in filter(None, entries):
        label, at, source = entry.partition("@")
        if at and not source:
            what = f"--vault-id {entry!r} names no source"
            raise DeclarationError(what, hint="write LABEL@FILE or LABEL@prompt")
        yield Password(label or DEFAULT, source) if at else Password(DEFAULT, label)


def _text(path: Path) -> bytes:
    found = path.read_bytes().strip()
    if found.startswith(b"$ANSIBLE_VAULT"):
        raise DeclarationError("the vault password file is encrypted itself", where=str(path), hint=_HINT)
    return found
