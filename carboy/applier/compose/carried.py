"""Resource: an image that the controller builds and sends, layer by layer, without any registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator

from carboy.applier.compose.image import Image
from carboy.applier.host import Host
from carboy.applier.resource import Drift, Need, Weight


@dataclass(frozen=True)
class Carried(Image):
    """Only the layers travel that the engine lacks: what images have in common from their beginning it has already."""

    def lacks(self, host: Host) -> Iterator[Need]:
        """The layers by name; then the image's description, and each layer that the engine lacks."""
        from carboy.applier.compose.loading import lacks

        return lacks(self, host)

    def weighs(self, host: Host) -> Iterator[Weight]:
        """The layers, unpacked."""
        from carboy.applier.compose.loading import weighs

        return weighs(self, host)

    def repair(self, host: Host, drift: Drift) -> None:
        """Hand the engine an archive with what it lacks."""
        from carboy.applier.compose.loading import load

        load(self, host)
