"""The files of a release beside its tree, as they come to lie in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Tuple

from carboy.applier.file import own
from carboy.applier.host import Host, write
from carboy.applier.resource import Blob

# What the app reads itself, and nobody else but root may.
FOR_APP = "0440"


def lay(host: Host, app: str, path: Path, files: Dict[str, Tuple[str, Blob]]) -> None:
    """Write them into the folder of a release; {release} in a name becomes the name of that."""
    for part, (mode, blob) in files.items():
        place = path / part.replace("{release}", path.name)
        place.parent.mkdir(exist_ok=True)
        write(place, host.blob(blob.need).read_bytes(), int(mode, 8))
        if mode == FOR_APP and host.live:
            own(place, mode, "root", app)
