"""`invoke verify`: testinfra asks hosts, over the inventory's own connection, whether they are as declared."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from carboy.declaration import Declaration
from carboy.errors import CarboyError

if TYPE_CHECKING:
    from carboy.fleet.run import Run
    from carboy.verify.report import Report


def verify(
    run: Run, declarations: Iterable[Declaration], *, kill: bool = False, junit: Path | None = None
) -> dict[str, int]:
    """Run every check of tests/verify on each host, many at once; returns an exit code by host: 0, 1, or 4.

    With `kill` processes are killed on any host, not only where `carboy_allow_kill` is true. `junit` is the file to
    write a report in JUnit's form to, whatever the hosts say.
    """
    from carboy.verify import report  # here and below, because no other verb has a use for pytest and testinfra

    reports = {declared.host.name: report.Report(declared) for declared in declarations}
    path = report.place(junit) if junit else None
    for found in reports.values():
        # Whatever has to be fetched or asked for is so here, once, and not in each host's own process.
        _ = found.declared.catalog, found.declared.settings["app"].secret_values(found.declared.host)
    run.begin(reports)
    try:
        _listen(run, reports, kill=kill)
    finally:
        if path:
            report.write(path, run.name, reports.values())
    return {name: found.code for name, found in reports.items()}


def _listen(run: Run, reports: dict[str, Report], *, kill: bool) -> None:
    from carboy.ssh.keys import unseal
    from carboy.verify.processes import ENDED, Processes
    from carboy.verify.session import check

    one = partial(check, kill=kill, live=run.console.lively)
    work = {name: partial(one, declared=report.declared) for name, report in reports.items()}
    unseal(report.declared.host for report in reports.values() if not report.declared.host.local)
    # What is shown live is another thread's, and a fork would have half of it.
    with Processes(work, run.forks, run.console.still) as processes:
        for name, said in processes:
            if said is ENDED:
                run.result(name, reports[name].code, **reports[name].facts)
                continue
            reports[name].add(said)
            if isinstance(said, CarboyError):
                run.fail(name, said)
            else:
                run.say(name, said)
