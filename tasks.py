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

import json as jsonlib
from pathlib import Path

from invoke import Collection

from carboy.cli import Control, verb
from carboy.errors import DeclarationError


@verb(
    check="only say what would change",
    diff="show changes of text",
    wait="seconds to wait for another run's lock",
    receipt="have the app asked on the host throughout, and report every request",
    attach="only follow a run that the hosts go on with alone: its name, the beginning of it, or last",
)
def deploy(
    control: Control,
    check: bool = False,
    diff: bool = False,
    wait: int = 0,
    receipt: bool = False,
    attach: str | None = None,
) -> None:
    """Bring hosts to what the inventory declares, and switch to the release without dropping a request."""
    if attach is None:
        control.run.apply(control.declared(), check=check, diff=diff, wait=wait, receipt=receipt)
    elif not attach or check or diff or wait or receipt:
        hint = "invoke deploy --attach RUN --host HOST, or --attach last"
        raise DeclarationError("--attach takes the name of a run, and no option of a deploy", hint=hint)
    else:
        control.run.attach(control.declared(), attach)


@verb()
def plan(control: Control) -> None:
    """Say what a deploy would change, with the differences; changes nothing, exits 2 on drift."""
    control.run.apply(control.declared(), check=True, diff=True)


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
    to: str = "",
    check: bool = False,
    diff: bool = False,
    wait: int = 0,
    receipt: bool = False,
    yes: bool = False,
) -> None:
    """Bring back exactly what ran before: code, packages, configuration and units."""
    control.run.rollback(control.declared(), to=to, check=check, diff=diff, wait=wait, receipt=receipt, yes=yes)


@verb(kill="kill processes too, whatever the inventory says", junit="write a JUnit report to this file")
def verify(control: Control, kill: bool = False, junit: str = "") -> None:
    """Check on the hosts themselves that all is as declared, and where they may be killed that they survive it."""
    from carboy import verify as checks

    report = Path(junit) if junit else None
    control.run.codes |= checks.verify(control.declared(), control.console, kill=kill, junit=report)


@verb()
def status(control: Control) -> None:
    """Which release serves, since when, and how well."""
    for declared in control.declared():
        control.run.perform(declared, "inspect", {"verb": "status"})


@verb()
def history(control: Control) -> None:
    """Every switch there was: when, who, what, and how it ended."""
    for declared in control.declared():
        control.run.perform(declared, "inspect", {"verb": "history"})


@verb(text="what the page says (default: nginx_maintenance_text)")
def maintenance(control: Control, state: str, text: str = "") -> None:
    """Have nginx show clients a page in the app's place (on), or the app again (off)."""
    from roles import nginx

    asked = [(declared, nginx.maintenance(declared.settings, state, text)) for declared in control.declared()]
    for declared, args in asked:
        control.run.perform(declared, "maintenance", args)


@verb(follow="go on with each new line", lines="how many earlier lines", access="the access log, not the error log")
def logs(control: Control, follow: bool = False, lines: int = 50, access: bool = False) -> None:
    """The app's log, as it is written."""
    for declared in control.declared():
        file = f"{declared.settings['app'].logs}/{'access' if access else 'error'}.log"
        control.run.perform(declared, "logs", {"file": file, "follow": follow, "lines": lines})


@verb()
def catalog(control: Control) -> None:
    """Print exactly what would travel, as JSON; with --json one object a line."""
    for declared in control.declared():
        shown = {"host": declared.host.name, "catalog": declared.catalog.wire()}
        print(jsonlib.dumps(shown, indent=None if control.console.machine else 1))


@verb(yes="pin without asking (compare the fingerprint first)")
def trust(control: Control, yes: bool = False) -> None:
    """Show the fingerprint of a host's key, and pin the key in known_hosts."""
    from carboy import hostkeys

    for host in control.hosts:
        control.console.event(host.name, hostkeys.trust(host, yes=yes))


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


namespace = Collection(deploy, plan, rollback, verify, status, history, logs, maintenance, catalog, trust)
namespace.add_collection(Collection("sandbox", up, down))
