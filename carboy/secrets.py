"""The app's secrets: where each comes from, and its value, fetched once a run and only by what needs it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from carboy.environment import refusal
from carboy.errors import DeclarationError
from carboy.inventory.sealed import Sealed, Secret, Text, opened
from carboy.project import ROOT

COMMAND_SECONDS = 60
Command = str | tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """A secret as the inventory names it: as text, a variable of this process's environment, or a command's output."""

    kind: Literal["text", "env", "command"]
    what: Text | Command = field(repr=False)

    @classmethod
    def parse(cls, value: Any) -> Source:
        """The source that a value of the inventory stands for; ValueError if it is none."""
        if isinstance(value, (str, Sealed)):
            return cls("text", value)
        match opened(value):
            case {"env": str(name)} if len(value) == 1 and name:
                return cls("env", name)
            case {"command": str(line)} if len(value) == 1 and line.strip():
                return cls("command", line)
            case {"command": [str(), *_] as words} if len(value) == 1 and all(isinstance(word, str) for word in words):
                return cls("command", tuple(words))
        raise ValueError("no source of a secret")

    def value(self, name: str, where: str) -> Secret:
        """The secret; DeclarationError, without a word of what was found, if it cannot be had."""
        if isinstance(self.what, Sealed):
            return self.what.text
        if self.kind == "text":
            return Secret(self.what)
        try:
            return Secret(_variable(str(self.what)) if self.kind == "env" else _output(self.what))
        except _Lacking as problem:
            raise DeclarationError(f"no secret {name}: {problem}", where=where, hint=problem.hint) from None


class _Lacking(Exception):
    def __init__(self, why: str, hint: str) -> None:
        super().__init__(why)
        self.hint = hint


def values(sources: Mapping[str, Source], file: Path | None, *, where: str, file_where: str) -> dict[str, Secret]:
    """All secrets of an app by name: those with a source of their own, and those of a file of this machine."""
    found = _of_file(file, file_where) if file else {}
    for name in sources:
        if name in found:
            raise DeclarationError(f"{name} is in {file} too", where=where, hint="take it out of one of them")
    return {**found, **{name: source.value(name, where) for name, source in sources.items()}}


def refusals(sources: Mapping[str, Source]) -> Iterator[tuple[str, str]]:
    """Names that no secret can have, and what to do."""
    return filter(any, map(refusal, sources))


def _variable(name: str) -> str:
    found = os.environ.get(name, "")
    if not found:
        raise _Lacking(f"the environment variable {name} is not set here, or empty", f"export {name}, then try again")
    return found


@cache
def _output(command: Command) -> str:
    """What a command says on standard output, without its last line break: once for all hosts and apps of a run."""
    words = ["sh", "-c", command] if isinstance(command, str) else list(command)
    hint = "run it by hand to see what it says"
    try:
        # What it says beside its output may hold the secret too.
        nothing = subprocess.DEVNULL
        done = subprocess.run(
            words, cwd=ROOT, stdin=nothing, stdout=subprocess.PIPE, stderr=nothing, timeout=COMMAND_SECONDS
        )
        said = done.stdout.decode().removesuffix("\n")
    except subprocess.TimeoutExpired:
        raise _Lacking(f"its command did not end within {COMMAND_SECONDS} s", hint) from None
    except UnicodeDecodeError:
        raise _Lacking("what its command says is not UTF-8", hint) from None
    except (OSError, ValueError) as problem:
        raise _Lacking(f"its command cannot be run: {getattr(problem, 'strerror', 'no command')}", hint) from None
    if done.returncode:
        raise _Lacking(f"its command failed (exit {done.returncode})", hint)
    if not said:
        raise _Lacking("its command says nothing", hint)
    return said


def _of_file(path: Path, where: str) -> dict[str, Secret]:
    """The YAML mapping of names to values in a file; errors never show a value."""
    from carboy.inventory.document import read  # here, because few apps have one

    try:
        found = opened(_closed(read(ROOT / path.expanduser()), str(path)))
    except DeclarationError as error:
        what = f"the secrets file {error.where}: {error.what}"
        raise DeclarationError(what, where=where, hint=error.hint or "write it as NAME: value lines") from None
    if not isinstance(found, dict) or not all(isinstance(item, str) for pair in found.items() for item in pair):
        hint = "quote numbers and booleans"
        raise DeclarationError(f"{path} is not a mapping of names to texts", where=where, hint=hint)
    for name in found:
        problem, hint = refusal(name)
        if problem:
            raise DeclarationError(f"{path}: {problem}", where=where, hint=hint)
    return {str(name): Secret(value) for name, value in found.items()}


def _closed(found: Any, path: str) -> Any:
    """The mapping with its encrypted values as such, to be opened like those of the inventory."""
    from carboy.inventory.references import sealed

    return {key: sealed(value, f"{path}: {key}") for key, value in found.items()} if isinstance(found, dict) else found
