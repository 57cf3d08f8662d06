"""The whole desired state of one host: resources in the order in which they are applied, and the bytes they need."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from carboy.applier.policy import Policy
from carboy.applier.resource import Blob, Resource

Bytes = bytes | Path
Entry = tuple[str, Resource]


@dataclass(frozen=True)
class Content(Blob):
    """A blob together with its bytes (or the file that holds them), which stay here until a host wants them."""

    data: Bytes = field(default=b"", repr=False, compare=False)
    names: tuple[Content, ...] = field(default=(), repr=False, compare=False)

    @classmethod
    def of(cls, data: str | bytes | Path, names: tuple[Content, ...] = ()) -> Content:
        """The content of a text, of bytes, or of a file; `names` are the contents whose digests stand in it."""
        raw = data.encode() if isinstance(data, str) else data
        whole = raw.read_bytes() if isinstance(raw, Path) else raw
        return cls(hashlib.sha256(whole).hexdigest(), len(whole), raw, names)

    def text(self) -> str:
        """The bytes as text."""
        return (self.data.read_bytes() if isinstance(self.data, Path) else self.data).decode()


@dataclass(frozen=True)
class Catalog:
    """Resources with the role that declared each, and every blob they name, by digest."""

    entries: tuple[Entry, ...]
    # Not in the repr: some of these are secrets.
    blobs: dict[str, Bytes] = field(repr=False)

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Catalog:
        """Collect the blobs that the resources name."""
        listed = tuple(entries)
        return cls(
            listed, {content.sha256: content.data for content in _contents([resource for _, resource in listed])}
        )

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules of `carboy.applier` that define these resources and what they are made of."""
        return tuple(sorted({name.rpartition(".")[0] for name in _classes(self.wire())}))

    def watched(self, seconds: float) -> Catalog:
        """The same with releases that are watched for so long."""
        return Catalog(tuple((role, _watched(resource, seconds)) for role, resource in self.entries), self.blobs)

    def wire(self) -> list[list[Any]]:
        """The catalog as JSON knows it, and as `carboy.applier.apply.decode` reads it."""
        return [[role, encode(resource)] for role, resource in self.entries]


def encode(value: Any) -> Any:
    """A value as JSON; a dataclass becomes a mapping that names its class, without the fields that are at default."""
    if isinstance(value, Content):
        value = Blob(value.sha256, value.size)
    if dataclasses.is_dataclass(value):
        name = f"{type(value).__module__.removeprefix('carboy.applier.')}.{type(value).__name__}"
        return {"is": name, **{item.name: encode(getattr(value, item.name)) for item in _told(value)}}
    if isinstance(value, dict):
        return {key: encode(item) for key, item in value.items()}
    return [encode(item) for item in value] if isinstance(value, list | tuple) else value


def digest(*parts: Any) -> str:
    """One digest of everything in `parts`, blobs by their own digest; equal parts give equal digests anywhere."""
    return hashlib.sha256(json.dumps([encode(part) for part in parts], sort_keys=True).encode()).hexdigest()


def _classes(value: Any) -> Iterator[str]:
    """The class of each dataclass in a value of the wire, as `encode` names it."""
    if isinstance(value, dict):
        yield from [value["is"]] if "is" in value else []
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _classes(item)


def _watched(resource: Resource, seconds: float) -> Resource:
    policy = getattr(resource, "policy", None)
    if not isinstance(policy, Policy):
        return resource
    return dataclasses.replace(resource, **{"policy": dataclasses.replace(policy, watch=seconds)})


def _told(value: Any) -> Iterator[dataclasses.Field[Any]]:
    return (item for item in dataclasses.fields(value) if getattr(value, item.name) != item.default)


def _contents(value: Any) -> Iterator[Content]:
    if isinstance(value, Content):
        yield value
        yield from value.names
    elif dataclasses.is_dataclass(value):
        yield from _contents([getattr(value, item.name) for item in dataclasses.fields(value)])
    elif isinstance(value, dict):
        yield from _contents(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _contents(item)
