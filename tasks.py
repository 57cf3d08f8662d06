"""The verbs: `invoke deploy --host prod1` and its kin. Each is thin; the work is in `carboy/`.

What only one verb needs is imported in it: every verb waits for what is imported here.
"""

from __future__ import annotations

import atexit
import gc

# A command is over before there is garbage to speak of; looking for it takes a third of the time of imports, and
# 40 ms at the end, where Python would look once more.
gc.disable()
atexit.register(gc.freeze)

from pathlib import Path

from invoke import Collection

from carboy.cli import Control, verb
from carboy.errors import DeclarationError
from carboy.fleet import record, verbs
from carboy.fleet.job import Job
from carboy.fleet.rolling import Course
from carboy.fleet.verbs import Options


@verb(
    check="only say what would change",
    diff="show changes of text",
    wait="seconds to wait for another run's lock",
    receipt="have the app asked on the host throughout, and report every request",
    plan="apply the plan in this file and nothing else",
    serial="sizes of the batches of hosts, such as 1,25%,100% (default: rollout_serial)",
    max_fail="how many hosts may fail, a number or a percentage (default: rollout_max_fail)",
    keep_going="where too many hosts fail, leave those that have switched on the new release",
    attach="only follow a run that the hosts go on with alone: its name, the beginning of it, or last",
)
def deploy(
    control: Control,
    check: bool = False,
    diff: bool = False,
    wait: int = 0,
    receipt: bool = False,
    plan: str | None = None,
    serial: str | None = None,
    max_fail: str | None = None,
    keep_going: bool = False,
    attach: str | None = None,
) -> None:
    """Bring hosts to what the inventory declares, and switch to the release without dropping a request."""
    if attach is None:
        saved = control.saved(plan)
        declared = control.declared()
        # Where nothing is changed the hosts need not agree on how.
        course = None if check else Course.of(declared, serial, max_fail, keep_going=keep_going)
        verbs.deploy(control.run, declared, Options(check, diff, wait, receipt), course, saved)
    elif check or diff or wait or receipt or plan or serial or max_fail or keep_going:
        hint = "invoke deploy --attach RUN --host HOST, or --attach last"
        raise DeclarationError("--attach takes the name of a run, and no option of a deploy", hint=hint)
    else:
        verbs.attach(control.run, control.declared(), attach)


@verb(out="keep the plan in this file, for deploy --plan")
def plan(control: Control, out: str | None = None) -> None:
    """Say what a deploy would change, with the differences; changes nothing, exits 2 on drift."""
    verbs.plan(control.run, control.declared(), Path(out) if out else None)


@verb(
    to="a release by name or digest (default: the last healthy one that does not serve)",
    check="only say which release would serve",
    diff="show what sets it apart from the one that serves",
    wait="seconds to wait for another run's lock",
    receipt="have the app asked on the host throughout, and report every request",
    yes="also to a release that never served well, or across one that cannot be undone",
)
def rollback(
    control: Control,
    to: str | None = None,
    check: bool = False,
    diff: bool = False,
    wait: int = 0,
    receipt: bool = False,
    yes: bool = False,
) -> None:
    """Bring back exactly what ran before: code, packages, configuration and units."""
    verbs.rollback(control.run, control.declared(), Options(check, diff, wait, receipt), to=to or "", yes=yes)


@verb(kill="kill processes too, whatever the inventory says", junit="write a JUnit report to this file")
def verify(control: Control, kill: bool = False, junit: str | None = None) -> None:
    """Check on the hosts themselves that all is as declared, and where they may be killed that they survive it."""
    from carboy import verify as checks

    report = Path(junit) if junit else None
    checks.verify(control.run, control.declared(), kill=kill, junit=report)


@verb()
def status(control: Control) -> None:
    """Which release serves, since when, and how well."""
    verbs.inspect(control.run, control.declared())


@verb()
def history(control: Control) -> None:
    """Every switch there was: when, who, what, and how it ended."""
    verbs.inspect(control.run, control.declared())


@verb(show="show again what a run said: its name, the beginning of it, or last")
def runs(control: Control, show: str | None = None) -> None:
    """The runs that are kept here, the newest first: when, what, who, and how each ended."""
    if show:
        for event in record.find(show).events():
            control.console.event(event.pop("host"), event)
    else:
        for run in record.kept():
            control.console.event(None, {"event": "recorded", **run.about})


@verb(text="what the page says (default: nginx_maintenance_text)")
def maintenance(control: Control, state: str, text: str | None = None) -> None:
    """Have nginx show clients a page in the app's place (on), or the app again (off)."""
    from roles import nginx

    asked = [(declared, nginx.maintenance(declared.settings, state, text or "")) for declared in control.declared()]
    control.run.each(Job(declared, "maintenance", args) for declared, args in asked)


@verb(follow="go on with each new line", lines="how many earlier lines", access="the access log, not the error log")
def logs(control: Control, follow: bool = False, lines: int = 50, access: bool = False) -> None:
    """The app's log, as it is written."""
    args = {"follow": follow, "lines": lines}
    name = f"{'access' if access else 'error'}.log"
    control.run.each(
        Job(declared, "logs", {**args, "file": f"{declared.settings['app'].logs}/{name}"})
        for declared in control.declared()
    )


@verb()
def catalog(control: Control) -> None:
    """Print exactly what would travel, as JSON; with --json one object a line."""
    for declared in control.declared():
        control.console.event(declared.host.name, {"event": "catalog", "catalog": declared.catalog.wire()})


@verb()
def doctor(control: Control) -> None:
    """What works on the way to a host and on it, what does not, and how to mend it; changes nothing."""
    from carboy import doctor as examination

    examination.doctor(control.run, control.hosts)


@verb(yes="pin without asking (compare the fingerprint first)")
def trust(control: Control, yes: bool = False) -> None:
    """Show the fingerprint of a host's key, and pin the key in known_hosts."""
    from carboy.ssh import trust as pinning

    pinning.trust_all(control.run, control.hosts, yes=yes)


@verb()
def up(control: Control) -> None:
    """Have the sandbox run: a throw-away container host named sandbox, with ssh -F .carboy/ssh_config sandbox."""
    from carboy import sandbox

    host = sandbox.up(progress=control.console.line)
    control.console.line(f"{host.name} is up: ssh -F .carboy/ssh_config {host.name}, app at {host.url} once deployed")


@verb()
def down(control: Control) -> None:
    """Remove the sandbox and all on it."""
    from carboy import sandbox

    control.console.line("sandbox removed" if sandbox.down() else "there was no sandbox")


namespace = Collection(deploy, plan, rollback, verify, status, history, runs, logs, maintenance, catalog, doctor, trust)
namespace.add_collection(Collection("sandbox", up, down))
