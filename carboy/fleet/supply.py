"""What a controller hands to a host that lacks something: bytes, code, and answers about packages and images."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any

from carboy.catalog import Bytes
from carboy.remote import Need

if TYPE_CHECKING:
    from carboy.wheelhouse import Wheelhouse

ONE_AT_A_TIME = Lock()


class Supply:
    """Answers what a host lacks: blobs of its catalog, the code of repairs, and questions about packages."""

    def __init__(self, blobs: Mapping[str, Bytes], code: Callable[[], bytes]) -> None:
        self.blobs = blobs
        self.code = code
        self.made: dict[str, Bytes] = {}

    @cached_property
    def house(self) -> Wheelhouse:
        """Where wheels are kept."""
        from carboy.wheelhouse import Wheelhouse  # here, because an unchanged host wants none

        return Wheelhouse(self._text)

    def __call__(self, need: Need) -> bytes:
        """The bytes for one need."""
        if "blob" in need:
            data = {**self.blobs, **self.house.blobs, **self.made}[need["blob"]]
            return data if isinstance(data, bytes) else data.read_bytes()
        if "code" in need:
            return self.code()
        # The hosts of a run mostly want the same: the first has it made, and the others find it.
        with ONE_AT_A_TIME:
            return json.dumps(self._made(need)).encode()

    def _made(self, need: Need) -> list[dict[str, Any]]:
        if "image" in need or "pushed" in need:
            return self._image(need)
        return self.house.installer(need["installer"]) if "installer" in need else self.house.wheels(need["wheels"])

    def _image(self, need: Need) -> list[dict[str, Any]]:
        from carboy.image import Builder  # here, because few runs build one

        builder = Builder(self.blobs.__getitem__, self.house)
        parts = builder.push(need["pushed"]) if "pushed" in need else builder.parts(need["image"])
        self.made |= builder.blobs
        return parts

    def _text(self, digest: str) -> str:
        data = self.blobs[digest]
        return (data if isinstance(data, bytes) else data.read_bytes()).decode()
