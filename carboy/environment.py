"""The app's environment and secrets as a file that systemd reads before it starts the app."""

from __future__ import annotations

import re
from pathlib import Path

from carboy.catalog import Content
from carboy.errors import DeclarationError
from carboy.inventory.document import read
from carboy.project import ROOT

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
ESCAPED = str.maketrans({character: "\\" + character for character in '\\"`$'})


def content(environment: dict[str, str], secrets_file: Path | None, where: str) -> Content:
    """NAME="value" lines, sorted; a secret wins over a plain variable of the same name."""
    values = {**environment, **(_secrets(secrets_file, where) if secrets_file else {})}
    for name, value in values.items():
        if not all(map(_passes, value)):
            raise DeclarationError(f"the value of {name} has a character that systemd would not pass on", where=where)
    return Content.of("".join(f'{name}="{value.translate(ESCAPED)}"\n' for name, value in sorted(values.items())))


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


def _secrets(path: Path, where: str) -> dict[str, str]:
    """The YAML mapping of names to values in the controller's secrets file; errors never show a value."""
    try:
        found = read(ROOT / path.expanduser())
    except DeclarationError as error:
        what = f"the secrets file {error.where}: {error.what}"
        raise DeclarationError(what, where=where, hint="write it as NAME: value lines") from None
    if not isinstance(found, dict) or not all(isinstance(item, str) for pair in found.items() for item in pair):
        raise DeclarationError(
            f"{path} is not a mapping of names to texts", where=where, hint="quote numbers and booleans"
        )
    for name in found:
        problem, hint = refusal(name)
        if problem:
            raise DeclarationError(f"{path}: {problem}", where=where, hint=hint)
    return found
