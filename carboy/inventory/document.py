"""YAML as Ansible reads it, made strict: no duplicated keys, no bombs, and every fault with its line and column."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from carboy.errors import DeclarationError
from carboy.inventory.sealed import Secret, hidden

MAX_DEPTH = 50
MAX_REPLAYED = 100_000

_TAG = "tag:yaml.org,2002:"
_SCALARS = {_TAG + kind for kind in ("str", "int", "float", "bool", "null", "timestamp", "binary")}
_COLLECTIONS = {None, "!", _TAG + "seq", _TAG + "map"}
_VAULT = {"!vault", "!vault-encrypted"}
_END = object()
_STRANGE_TAG = "this tag is not supported here; quote text that begins with !"


class Unsafe(str):
    """Text tagged `!unsafe`: braces in it mean themselves."""

    __slots__ = ()


_MERGE = Unsafe("<<")
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Vaulted:
    """A value encrypted by Ansible Vault, kept closed until somebody reads it."""

    ciphertext: str = field(repr=False)


def read(path: Path) -> Any:
    """The value in a YAML or JSON file; None if it is empty, DeclarationError if it cannot be read."""
    return parse(text_of(path), str(path))


def text_of(path: Path) -> str:
    """The text of a file, a `Secret` if it is encrypted; DeclarationError if it cannot be read."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DeclarationError(f"not UTF-8: {error.reason} at byte {error.start}", where=str(path)) from error
    except (OSError, ValueError) as error:
        raise DeclarationError(f"cannot be read: {getattr(error, 'strerror', error)}", where=str(path)) from error
    if text.startswith("$ANSIBLE_VAULT"):
        from carboy.inventory.vault import KEYRING  # here, because few files are encrypted

        return KEYRING.open(text, str(path))
    return text


def parse(text: str, name: str) -> Any:
    """The value of YAML or JSON text, marked as secret if the text is; `name` is what errors call it."""
    return hidden(_parsed(str(text), name)) if isinstance(text, Secret) else _parsed(text, name)


def _parsed(text: str, name: str) -> Any:
    # Ansible tries JSON first: 1e5 is a number there and text in YAML 1.1. Whatever JSON refuses, YAML explains.
    if text.lstrip()[:1] in ("{", "["):
        try:
            return _json(text)
        except (ValueError, RecursionError):
            pass
    return _Document(text, name).value()


def scalar(text: str, name: str) -> Any:
    """The value of text as one plain YAML scalar: a number, yes or no, null, a date, else the text itself."""
    mark = yaml.Mark(name, 0, 0, 0, None, 0)
    return _Document(text, name).scalar(yaml.ScalarEvent(None, None, (True, False), text, mark, mark))


def _json(text: str) -> Any:
    value = json.loads(text, object_pairs_hook=_unique)
    json.dumps(value, ensure_ascii=False).encode()
    if _depth(value) > MAX_DEPTH:
        raise ValueError("nested too deeply")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("duplicated key")
    return dict(pairs)


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)


def _refuse(problem: str, event: Any) -> NoReturn:
    raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


class _Document:
    """Builds a value from parse events, not from PyYAML's node tree: composing that crashes on deep nesting."""

    def __init__(self, text: str, name: str) -> None:
        self._loader = _Loader("")
        self._text = text
        self._name = name
        self._pending: deque[Any] = deque()
        self._log: list[Any] = []
        self._spans: dict[str, tuple[int, int]] = {}
        self._replayed = 0

    def value(self) -> Any:
        """The document's value; DeclarationError for everything that is wrong with it."""
        try:
            self._loader = _Loader(self._text)
            return self._whole()
        except yaml.YAMLError as error:
            raise self._explained(error) from None

    def scalar(self, event: yaml.ScalarEvent) -> Any:
        """The value of one scalar; DeclarationError if it is none, such as a date in month 13."""
        try:
            return self._scalar(event, 0)
        except yaml.YAMLError as error:
            raise self._explained(error) from None

    def _whole(self) -> Any:
        self._loader.get_event()
        if isinstance(self._loader.get_event(), yaml.StreamEndEvent):
            return None
        value = self._node(0)
        self._loader.get_event()
        after = self._loader.get_event()
        if not isinstance(after, yaml.StreamEndEvent):
            _refuse("a second document starts here; one file holds one", after)
        return value

    def _explained(self, error: yaml.YAMLError) -> DeclarationError:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
        # The line itself is not shown, nor is any text of it in a traceback: it may hold a secret.
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        return DeclarationError(f"not valid YAML: {problem}", where=self._name + place)

    def _next(self) -> Any:
        event = self._pending.popleft() if self._pending else self._loader.get_event()
        if isinstance(event, yaml.AliasEvent):
            self._replay(event)
            return self._next()
        self._log.append(event)
        return event

    def _replay(self, alias: yaml.AliasEvent) -> None:
        # Replaying the anchor's events gives a tree that shares nothing, so nothing behind us can be blown up by it.
        if alias.anchor not in self._spans:
            _refuse("an alias refers to nothing that is complete before it; quote text that begins with *", alias)
        start, end = self._spans[alias.anchor]
        self._replayed += end - start
        if self._replayed > MAX_REPLAYED:
            _refuse(f"aliases expand to more than {MAX_REPLAYED} entries", alias)
        self._pending.extendleft(reversed(self._log[start:end]))

    def _node(self, depth: int) -> Any:
        event = self._next()
        start = len(self._log) - 1
        if isinstance(event, yaml.CollectionEndEvent):
            return _END
        if depth > MAX_DEPTH:
            _refuse(f"nested more than {MAX_DEPTH} levels deep", event)
        value = self._builder(event)(event, depth)
        if event.anchor:
            self._spans[event.anchor] = (start, len(self._log))
        return value

    def _builder(self, event: Any) -> Callable[[Any, int], Any]:
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar
        if event.tag not in _COLLECTIONS:
            _refuse(_STRANGE_TAG, event)
        return self._mapping if isinstance(event, yaml.MappingStartEvent) else self._sequence

    def _sequence(self, _event: Any, depth: int) -> list[Any]:
        return list(iter(lambda: self._node(depth + 1), _END))

    def _mapping(self, _event: Any, depth: int) -> dict[Any, Any]:
        own: dict[Any, Any] = {}
        merged: dict[Any, Any] = {}
        for key in iter(lambda: self._node(depth + 1), _END):
            event = self._log[-1]
            value = self._node(depth + 1)
            if key is _MERGE:
                merged |= _merged(value, event)
            elif isinstance(key, (list, dict)) or key in own:
                _refuse(
                    "a list or mapping as a key" if isinstance(key, (list, dict)) else f"duplicated key {key!r}", event
                )
            else:
                own[key] = value
        return merged | own

    def _scalar(self, event: Any, _depth: int) -> Any:
        if event.tag in _VAULT:
            return Vaulted(event.value)
        unsafe = event.tag == "!unsafe"
        tag = event.tag
        if unsafe or tag in (None, "!"):
            tag = self._loader.resolve(yaml.ScalarNode, event.value, (True, False) if unsafe else event.implicit)
        if tag == _TAG + "merge":
            return _MERGE
        value = self._constructed(tag, event)
        return Unsafe(value) if unsafe and isinstance(value, str) else value

    def _constructed(self, tag: str, event: Any) -> Any:
        if tag not in _SCALARS:
            _refuse(_STRANGE_TAG, event)
        try:
            node = yaml.ScalarNode(tag, event.value, event.start_mark, event.end_mark)
            return _countable(self._loader.construct_object(node))
        except (ValueError, KeyError, AttributeError, OverflowError, IndexError):
            # PyYAML's constructors let the failure of their conversion through, whatever it is.
            _refuse(f"not a valid {tag.removeprefix(_TAG)}", event)


def _countable(value: Any) -> Any:
    # Hexadecimal can spell numbers so long that Python refuses to print them.
    if isinstance(value, int) and value.bit_length() > 1024:
        raise ValueError("too large")
    return value


def _merged(value: Any, event: Any) -> dict[Any, Any]:
    """What `<<` brings: of several mappings the first wins."""
    result: dict[Any, Any] = {}
    for mapping in reversed(value if isinstance(value, list) else [value]):
        if not isinstance(mapping, dict):
            _refuse("<< takes a mapping or a list of mappings", event)
        result |= mapping
    return result
