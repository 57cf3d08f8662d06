"""The verb doctor: what works on the way to a host and on it, what does not, and how to mend it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from carboy.declaration import Declaration, declare
from carboy.errors import CarboyError, DeclarationError, fault
from carboy.fleet.crew import Crew
from carboy.fleet.job import Tally
from carboy.fleet.run import Run
from carboy.inventory import Host
from carboy.payload import pack, runtime_modules
from carboy.remote import Event, Need, NoRoot, converse
from carboy.ssh.connection import Connection
from carboy.ssh.endpoint import Endpoint
from carboy.transport import Way, way_to

OK, WARNING, FAILED = "ok", "warning", "failed"
WRITTEN = ("ansible_host", "ansible_port", "ansible_user", "ansible_connection")
COUNTED = ("proxyjump", "proxycommand", "hostkeyalias", "identityagent", "bindaddress", "certificatefile")
DEFAULT_IDENTITY = "~/.ssh/id_"


def doctor(run: Run, hosts: Iterable[Host]) -> None:
    """Examine hosts, many at once; all that was found of one is shown together."""
    patients = [Patient(host) for host in hosts]
    run.begin(patient.host.name for patient in patients)
    work = {patient.host.name: lambda _, patient=patient: patient.examine() for patient in patients}
    for tally in Crew(work, run.say, run.forks):
        for event in tally.events:
            run.say(tally.host, event)
        run.settle(tally)


class Patient:
    """One host, looked at from its place in the inventory to the app that runs on it."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._declared = _declared(host)
        self._tally = Tally(host.name)
        self._subject: Callable[[], str] = lambda: "inventory"
        """What is being looked at, for an error that ends it all."""

    def examine(self) -> Tally:
        """Look at everything that can be reached; the tally has the findings and the exit code."""
        tally = self._tally
        try:
            self._inventory()
            self._way()
        except Exception as problem:  # whatever it is, it concerns no other host
            error = problem if isinstance(problem, CarboyError) else fault(problem)
            text = error.what if error is problem else f"{error.what} [{error.where}]"
            self._say("root" if isinstance(error, NoRoot) else self._subject(), FAILED, text, error.hint)
            tally.code = error.exit_code
        tally.code = tally.code or int(any(event["state"] == FAILED for event in tally.events))
        return tally

    def _say(self, subject: str, state: str, text: str, hint: str = "") -> None:
        self._tally.add({"event": "finding", "subject": subject, "state": state, "text": text, "hint": hint})

    def _inventory(self) -> None:
        files = {str(self.host.origins[name]).partition(": ")[0] for name in WRITTEN if name in self.host.origins}
        self._say("inventory", OK, ", from ".join((self.host.address, *sorted(files))))
        if isinstance(self._declared, DeclarationError):
            what = f"{self._declared.what} [{self._declared.where}]"
            self._say("declaration", FAILED, what, self._declared.hint)
            return
        roles = ", ".join(self._declared.roles)
        self._say("declaration", OK, f"{self._declared.app} by {self._declared.runtime}, with the roles {roles}")
        for text in self._declared.warnings:
            self._say("declaration", WARNING, text)

    def _way(self) -> None:
        self._subject = lambda: "ssh config"
        way = way_to(self.host)
        if isinstance(way, Connection):
            self._say("ssh config", OK, _counted(way.end) or "nothing in it concerns this host")
            route = way.route
            route.observer, self._subject = self._step, lambda: route.step or "ssh config"
        with way:
            self._subject = lambda: "python"
            self._inside(way)

    def _step(self, end: Endpoint, step: str, text: str) -> None:
        self._say(step, OK, f"{end.title}: {text}" if end.is_jump else text)

    def _inside(self, way: Way) -> None:
        args: dict[str, Any] = {"now": time.time(), "app": "", "runtime": "", "listen": "", "proxy": ""}
        modules: tuple[str, ...] = ()
        if isinstance(self._declared, Declaration):
            app = self._declared.settings["app"]
            args |= {"app": app.name, "runtime": app.runtime, "listen": app.listen, "proxy": app.proxy}
            args |= self._declared.arguments
            modules = runtime_modules(app.runtime)
        converse(way, pack("doctor", args, modules), _nothing, self._hear)

    def _hear(self, event: Event) -> None:
        self._subject = lambda: "host"
        if event["event"] == "finding":
            self._tally.add(event)
        elif event["event"] == "failed":
            self._say("host", FAILED, f"{event['what']}\n{event['details']}".strip(), event["hint"])


def _declared(host: Host) -> Declaration | DeclarationError:
    try:
        return declare(host)
    except DeclarationError as error:
        return error


def _counted(end: Endpoint) -> str:
    """What of ssh's configuration counts for a host, beside what the inventory and the defaults say."""
    told = {key: end.settings[key] for key in COUNTED if key in end.settings}
    own = [file for file in end.settings.get("identityfile", ()) if not file.startswith(DEFAULT_IDENTITY)]
    told |= {"hostname": (end.address,)} if end.address != end.name else {}
    told |= {"identityfile": tuple(own)} if own and not end.key_file else {}
    return ", ".join(f"{key} {' '.join(values)}" for key, values in told.items())


def _nothing(need: Need) -> bytes:
    raise CarboyError(f"doctor needs nothing, but the host asked for {need}")
