"""Resource: an image that is built on the host, from what is shipped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator

from carboy.applier.compose.image import Image
from carboy.applier.host import Host
from carboy.applier.resource import Drift, Need, Weight


@dataclass(frozen=True)
class Built(Image):
    """Its packages are resolved by the controller for the Python of the base; the build reaches no network."""

    def lacks(self, host: Host) -> Iterator[Need]:
        """The texts and the manifest; the packages by name; then each file that no earlier image holds."""
        from carboy.applier.compose.building import lacks

        return lacks(self, host)

    def weighs(self, host: Host) -> Iterator[Weight]:
        """What is unpacked in the engine's store, and the folder; a base that is pulled has no known weight."""
        from carboy.applier.compose.building import weighs

        return weighs(self, host)

    def repair(self, host: Host, drift: Drift) -> None:
        """Build it from a folder that is laid out anew."""
        from carboy.applier.compose.building import build

        build(self, host)
