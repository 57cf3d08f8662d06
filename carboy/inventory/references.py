"""Plain references between variables: `"{{ other_variable }}"`, the one piece of Jinja an inventory may use here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from carboy.errors import DeclarationError
from carboy.inventory.document import Unsafe, Vaulted
from carboy.inventory.origin import Origin
from carboy.inventory.sealed import Hidden, Sealed, Secret
from carboy.inventory.suggest import did_you_mean

MAX_TEXT = 1_000_000
"""So many characters a text may have with its references filled in."""

_REFERENCE = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}", re.ASCII)
_JINJA = re.compile(r"\{\{|\{%|\{#")
_HINT = "only plain references such as {{ other_variable }} are understood; tag the text !unsafe if it means itself"


class References:
    """The variables of one host as they read with references filled in; each is worked out once, when it is read."""

    def __init__(self, variables: Mapping[str, Any], origins: Mapping[str, Origin]) -> None:
        self._variables = variables
        self._origins = origins
        self._known: dict[str, Any] = {}
        self._open: list[str] = []

    def value(self, name: str) -> Any:
        """The value of a variable that exists, encrypted text still sealed; DeclarationError for a cycle or Jinja."""
        if name in self._open:
            raise self._error(
                f"a variable refers to itself: {' > '.join([*self._open, name])}", "write one of them out"
            )
        if name not in self._known:
            self._open.append(name)
            try:
                self._known[name] = self._filled(self._variables[name])
            except RecursionError:
                raise self._error("the references are nested too deeply", _HINT) from None
            finally:
                self._open.pop()
        return self._known[name]

    def _error(self, what: str, hint: str) -> DeclarationError:
        return DeclarationError(what, where=self._where(), hint=hint)

    def _where(self) -> str:
        origin = self._origins.get(self._open[-1]) if self._open else None
        return str(origin or (self._open or [""])[-1])

    def _filled(self, value: Any, path: str = "") -> Any:
        if isinstance(value, dict):
            return {key: self._filled(inner, f"{path}.{key}") for key, inner in value.items()}
        if isinstance(value, list):
            return [self._filled(inner, f"{path}[{index}]") for index, inner in enumerate(value)]
        if isinstance(value, Vaulted):
            return sealed(value, self._where() + path)
        return self._text(value) if isinstance(value, str) and not isinstance(value, Unsafe) else value

    def _text(self, text: str) -> Any:
        if _JINJA.search(_REFERENCE.sub("", text)):
            raise self._error("this Jinja is not understood", _HINT)
        if whole := _REFERENCE.fullmatch(text):
            return self._referred(whole[1])
        values = {name: self._inline(name) for name in _REFERENCE.findall(text)}
        if any(isinstance(value, Sealed) for value in values.values()):
            return Sealed(partial(_joined, text, values, self._where()))
        filled = _joined(text, values, self._where())
        return Secret(filled) if any(isinstance(value, Hidden) for value in (text, *values.values())) else filled

    def _referred(self, name: str) -> Any:
        if name not in self._variables:
            what = f"there is no variable {name!r} to refer to"
            raise self._error(what, did_you_mean(name, self._variables))
        return self.value(name)

    def _inline(self, name: str) -> Any:
        value = self._referred(name)
        if not isinstance(value, (str, int, float, Sealed)):
            raise self._error(f"{name!r} is no text or number, so it cannot stand inside a text", _HINT)
        return value


def _joined(text: str, values: Mapping[str, Any], where: str) -> str:
    known = {name: value.text if isinstance(value, Sealed) else value for name, value in values.items()}
    filled = _REFERENCE.sub(lambda match: str(known[match[1]]), text)
    if len(filled) > MAX_TEXT:
        what = f"the text grows beyond {MAX_TEXT} characters"
        raise DeclarationError(what, where=where, hint="use fewer references")
    return filled


def sealed(value: Any, where: str) -> Any:
    """What the keyring will open once it is read, in the place of an encrypted value; any other value as it is."""
    if not isinstance(value, Vaulted):
        return value

    def text() -> str:
        from carboy.inventory.vault import KEYRING  # here, because few values are encrypted

        return KEYRING.open(value.ciphertext, where)

    return Sealed(text)
