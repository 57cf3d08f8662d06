"""`deploy --attach` on Kubernetes: the runs of this user on the machine that has kubectl."""

from __future__ import annotations

from carboy.applier.attach import attach
from carboy.applier.kubernetes.apply import state
from carboy.applier.session import Arguments, session


def main(args: Arguments) -> None:
    """Entry point of the payload."""
    session(args, attach, root=state())
