"""The verb `confirm`, which the controller starts over a new connection: it still gets in."""

from __future__ import annotations

from carboy.applier.deadman import Deadman
from carboy.applier.host import Host
from carboy.applier.session import Arguments, session


def main(args: Arguments) -> None:
    """Entry point of the payload."""
    session(args, confirm)


def confirm(host: Host, args: Arguments) -> None:
    """Leave the change in place that the token stands for."""
    Deadman(host).confirm(args["token"])
