"""The part of the applier that only repairs need: it follows when there is something to repair."""

from __future__ import annotations

import json
import zlib
from itertools import filterfalse
from typing import Iterator

from carboy.applier.host import Host
from carboy.applier.resource import Need

NEED = {"code": "repairs"}


def lacks(host: Host) -> Iterator[Need]:
    """What has to be fetched before `load`."""
    return filterfalse(host.has, [NEED])


def load(host: Host) -> None:
    """Make the modules that have arrived importable, by what `loader` takes them from."""
    host.args["modules"].update(json.loads(zlib.decompress(host.blob(NEED).read_bytes())))
