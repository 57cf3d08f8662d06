"""Resource: an image that the controller builds and puts into a registry, from which hosts take it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator

from carboy.applier.compose.image import Image
from carboy.applier.host import MORTAL, Host
from carboy.applier.resource import Drift, Failure, Need


@dataclass(frozen=True)
class Pulled(Image):
    """Its reference begins with the registry's name."""

    def lacks(self, host: Host) -> Iterator[Need]:
        """That the registry has it."""
        need = {"pushed": self.order["image"]}
        if not host.has(need):
            yield need

    def repair(self, host: Host, drift: Drift) -> None:
        """Pull it."""
        host.say("pulling %s" % self.reference)
        done = host.call(*MORTAL, "docker", "pull", "--quiet", self.reference)
        if done.returncode:
            raise Failure(
                "%s cannot be pulled" % self.reference,
                details="\n".join(done.stderr.strip().splitlines()[-3:]),
                hint="see that the host reaches the registry and may read there (docker login), then deploy again",
            )
