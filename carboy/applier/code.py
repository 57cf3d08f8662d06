"""The part of the applier that only repairs need: it follows when there is something to repair."""

from __future__ import annotations

import json
import zlib
from contextlib import nullcontext
from io import BytesIO

from carboy.applier.host import Host


def load(host: Host) -> None:
    """Receive these modules, in memory since the disk may be full, and have `loader` import them from now on."""
    arrived = BytesIO()
    host.stream.fetch([{"code": "repairs"}], lambda _: nullcontext(arrived))
    host.args["modules"].update(json.loads(zlib.decompress(arrived.getvalue())))
