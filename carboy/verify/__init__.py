"""`invoke verify`: testinfra asks hosts, over the inventory's own connection, whether they are as declared."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from carboy.console import Console
from carboy.declaration import Declaration
from carboy.errors import CarboyError, FailedError

if TYPE_CHECKING:
    from carboy.verify.target import Target

PYTEST = (
    "--quiet",
    "--assert=plain",
    "--capture=no",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:xdist",
    "--import-mode=importlib",
)


def verify(
    declarations: Iterable[Declaration], console: Console, *, kill: bool = False, junit: Path | None = None
) -> dict[str, int]:
    """Run every check of tests/verify on each host; returns an exit code by host name: 0, 1, or 4 for unreachable.

    With `kill` processes are killed on any host, not only where `carboy_allow_kill` is true. `junit` is the file to
    write a report in JUnit's form to.
    """
    import pytest  # here and below, because no other verb has a use for pytest and testinfra

    from carboy.verify.session import SUITE, Verification

    with ExitStack() as connections:
        targets, unreachable = _open(declarations, console, connections, kill=kill)
        if not targets:
            return unreachable
        verification = Verification(targets, console)
        report = [f"--junit-xml={junit}"] if junit else []
        ended = pytest.main([str(SUITE), *PYTEST, *report], plugins=[verification])
        if ended == pytest.ExitCode.INTERRUPTED:
            raise KeyboardInterrupt
        # Anything else than good and bad checks is no good news of any host.
        told = ended in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        return {**unreachable, **(verification.codes if told else dict.fromkeys(verification.codes, 1))}


def _open(
    declarations: Iterable[Declaration], console: Console, connections: ExitStack, *, kill: bool
) -> tuple[list[Target], dict[str, int]]:
    from carboy.verify.backend import Backend
    from carboy.verify.target import Target

    targets: list[Target] = []
    unreachable: dict[str, int] = {}
    for declared in declarations:
        try:
            backend = connections.enter_context(Backend(declared.host))
            targets.append(_deployed(Target(declared, backend, kill=kill)))
        except CarboyError as error:
            console.error(declared.host.name, error)
            unreachable[declared.host.name] = error.exit_code
    return targets, unreachable


def _deployed(target: Target) -> Target:
    if not target.release:
        raise FailedError("nothing is deployed", where=f"host {target.name}, {target.app.home}", hint=target.repair)
    return target
