"""The app's environment and secrets as files of its release: one that systemd reads, and if wanted one a secret."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from carboy.catalog import Content
from carboy.errors import DeclarationError
from carboy.inventory.sealed import Sealed, Secret, Text

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
FILE = "environment"
FOLDER = "secrets"
ESCAPED = str.maketrans({character: "\\" + character for character in '\\"`$'})


def files(
    environment: Mapping[str, Text], secrets: Mapping[str, Secret], *, where: str, mode: str = ""
) -> dict[str, tuple[str, Content]]:
    """What a release carries of both, by path: one file of variables, or with a mode each secret as a file of it."""
    own = {name: value for name, value in environment.items() if name not in secrets}
    if not mode:
        return {FILE: ("0600", content({**own, **secrets}, where))}
    for name in secrets:
        _unless_taken(name, {*own, *secrets}, where)
        _unless_text(name, secrets[name], where)
    kept = {f"{FOLDER}/{name}": (mode, Content.of(str(value))) for name, value in secrets.items()}
    return {FILE: ("0600", content(own, where)), **dict(sorted(kept.items()))}


def content(environment: Mapping[str, Text], where: str) -> Content:
    """NAME="value" lines, sorted."""
    values = {name: value.text if isinstance(value, Sealed) else value for name, value in environment.items()}
    for name, value in values.items():
        if not all(map(_passes, value)):
            raise DeclarationError(f"the value of {name} has a character that systemd would not pass on", where=where)
    return Content.of("".join(f'{name}="{value.translate(ESCAPED)}"\n' for name, value in sorted(values.items())))


def names(files: Iterable[str]) -> tuple[str, ...]:
    """The secrets that are files of their own, of all that a release carries."""
    return tuple(path.removeprefix(f"{FOLDER}/") for path in files if path.startswith(f"{FOLDER}/"))


def _unless_taken(name: str, others: Collection[str], where: str) -> None:
    """Raise `DeclarationError` if a secret cannot be a file by its name: the variable that leads to it is another's."""
    if name == FILE:
        what = f"no secret can be called {FILE} where app_secrets_as is files: that file is Carboy's own"
        raise DeclarationError(what, where=where, hint="give it another name")
    if f"{name}_FILE" in others:
        what = f"{name}_FILE says where the secret {name} is, and cannot be a variable or secret of its own"
        raise DeclarationError(what, where=where, hint=f"take {name}_FILE out, or set app_secrets_as: environment")


def _unless_text(name: str, value: str, where: str) -> None:
    """Raise `DeclarationError` if a value has bytes that are no text: so Python reads a variable that is not UTF-8."""
    if any(0xD800 <= ord(character) <= 0xDFFF for character in value):
        raise DeclarationError(f"the value of {name} is not UTF-8", where=where, hint="encode it, as with base64")


def refusal(name: str) -> tuple[str, str]:
    """Why an app's environment cannot have a variable of that name, and what to do; two empty texts if it can."""
    if not NAME.fullmatch(name):
        return f"{name!r} cannot be the name of an environment variable", "use letters, digits and _, no digit first"
    if name.startswith("CARBOY_"):
        return f"{name} is a name that Carboy itself sets", "give it another name"
    if name == "GUNICORN_CMD_ARGS":
        return f"{name} would override what is declared of gunicorn", "set gunicorn_* in the inventory"
    return "", ""


def _passes(character: str) -> bool:
    """Whether systemd takes a character from a file: neither a control nor a surrogate nor one that is none in Unicode.

    One such character in one value, and the whole file is refused, which keeps the app from starting.
    """
    code = ord(character)
    nothing = 0xD800 <= code <= 0xDFFF or 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE
    return character in "\n\t" or (code >= 32 and not nothing)
