"""The verb doctor on the host: what is as a deploy wants it, what is not, and how to mend it; changes nothing."""

from __future__ import annotations

from typing import Callable, Iterator, Tuple

from carboy.applier.checkup import app, machine, services
from carboy.applier.checkup.finding import FAILED, Finding
from carboy.applier.host import Host
from carboy.applier.resource import Failure
from carboy.applier.session import Arguments, session

Check = Callable[[Host], Iterator[Finding]]
CHECKS: Tuple[Tuple[str, Check], ...] = (
    ("root", machine.root),
    ("python", machine.python),
    ("system", machine.system),
    ("locale", machine.language),
    ("clock", machine.clock),
    ("disk", machine.disks),
    ("packages", machine.packages),
    ("runtime", services.runtime),
    ("nginx", services.nginx),
    ("lock", app.lock),
    ("guarded change", app.guarded),
    ("app", app.serving),
    ("address", app.address),
)


def main(args: Arguments) -> None:
    """Entry point of the payload."""
    session(args, examine)


def examine(host: Host, args: Arguments) -> None:  # noqa: ARG001 - every verb has this form
    """Look at everything; what cannot be looked at is a finding too."""
    for subject, check in CHECKS:
        try:
            for found in check(host):
                host.stream.emit("finding", subject=subject, state=found.state, text=found.text, hint=found.hint)
        except Failure as failure:
            text = "\n".join(filter(None, (failure.what, failure.details)))
            host.stream.emit("finding", subject=subject, state=FAILED, text=text, hint=failure.hint)
        except (OSError, ValueError, KeyError) as problem:
            hint = "look at it on the host"
            host.stream.emit("finding", subject=subject, state=FAILED, text="not to be seen: %s" % problem, hint=hint)
