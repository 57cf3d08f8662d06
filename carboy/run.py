"""One verb on many hosts: a run has a name, a holder, and ends with one exit code."""

from __future__ import annotations

import getpass
import json
import secrets
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

from carboy.catalog import Bytes
from carboy.confirmation import confirm
from carboy.console import Console
from carboy.declaration import Declaration
from carboy.errors import CarboyError, OutcomeUnknownError
from carboy.payload import entrance, pack, repairs, runtime_modules
from carboy.remote import Event, Need, conduct
from carboy.wheelhouse import Wheelhouse

GRAVEST_FIRST = (6, 1, 4, 5, 3, 2, 0)
TYPED = {"apply": "deploy"}


def new_run() -> str:
    """A name for a run: its time, and enough chance that two never meet."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(3)}"


def holder(run: str) -> dict[str, str]:
    """Who does this run, from where, since when: what a lock and a history tell others."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"who": getpass.getuser(), "where": socket.gethostname(), "since": now, "run": run}


@dataclass
class Tally:
    """What the events of one host add up to."""

    counts: Counter[str] = field(default_factory=Counter)
    events: list[Event] = field(default_factory=list)

    def add(self, event: Event) -> None:
        """Take one event in."""
        self.events.append(event)
        if event["event"] == "resource":
            self.counts[event["status"]] += 1

    def of(self, kind: str) -> list[Event]:
        """The events of a kind."""
        return [event for event in self.events if event["event"] == kind]

    def last(self, kind: str) -> Event:
        """The last event of a kind, empty if there was none."""
        return next((event for event in reversed(self.events) if event["event"] == kind), {})


class Run:
    """One verb, carried out host by host."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.name = new_run()
        self.codes: dict[str, int] = {}

    @property
    def code(self) -> int:
        """The exit code of all hosts together: the gravest of theirs."""
        return next((code for code in GRAVEST_FIRST if code in self.codes.values()), 0)

    def apply(self, declarations: Iterable[Declaration], *, check: bool, **options: Any) -> None:
        """`deploy`, or with `check` `plan`; a deploy that fails on one host does not go on to the next."""
        # All catalogs first: a mistake in the last host's is found before the first host is contacted.
        compiled = [(declared, declared.catalog) for declared in declarations]
        done: set[tuple[str, str]] = set()
        for number, (declared, catalog) in enumerate(compiled, start=1):
            here = [moment for app, moment in done if app == declared.app]
            for text in declared.warnings:
                self.console.event(declared.host.name, {"event": "warning", "text": text})
            args = {"catalog": catalog.wire(), "check": check, "done": here, **options}
            tally = self.perform(declared, "apply", args, modules=catalog.modules, blobs=catalog.blobs)
            self._recap(declared.host.name, tally, check)
            done |= {(declared.app, event["moment"]) for event in tally.of("hook") if event["once"]}
            if check and tally.counts["changed"]:
                self.codes[declared.host.name] = self.codes[declared.host.name] or 2
            if not check and self.codes[declared.host.name]:
                self._leave([later.host.name for later, _ in compiled[number:]])
                return

    def rollback(self, declarations: Iterable[Declaration], *, check: bool, **options: Any) -> None:
        """`rollback`, to the last healthy release or a named one; a doubtful one only if a person says yes."""
        for declared in declarations:
            args = {"policy": asdict(declared.policy), "check": check, **options}
            tally = self.perform(declared, "rollback", args)
            if tally.last("doubt") and self.console.agreed("Switch to it all the same?"):
                tally = self.perform(declared, "rollback", {**args, "yes": True})
            self._recap(declared.host.name, tally, check)

    def attach(self, declarations: Iterable[Declaration], name: str) -> None:
        """`deploy --attach`: what an earlier run said and says, and its exit code."""
        for declared in declarations:
            self._recap(declared.host.name, self.perform(declared, "attach", {"name": name}), check=False)

    def perform(
        self,
        declared: Declaration,
        verb: str,
        args: dict[str, Any],
        *,
        modules: tuple[str, ...] = (),
        blobs: Mapping[str, Bytes] = MappingProxyType({}),
    ) -> Tally:
        """Carry out one verb on one host; an error of this host is shown and counted, and the others go on."""
        host, tally = declared.host, Tally()
        common = {"app": declared.app, "verb": TYPED.get(verb, verb), "run": self.name, "holder": holder(self.name)}
        common |= {"runtime": declared.runtime, **declared.arguments}
        entry, modules = entrance(verb, declared.runtime), (*modules, *runtime_modules(declared.runtime))
        payload = pack(entry, {**common, **args}, modules)
        supply, changes = Supply(blobs, partial(repairs, entry, modules)), not args.get("check", True)

        def sink(event: Event) -> None:
            tally.add(event)
            self.console.event(host.name, event)
            # Not of a run that is only replayed: its change was confirmed or taken back long ago.
            if event["event"] == "confirm" and verb == "apply":
                sink(confirm(host, event, common))

        self.console.waiting(host.name, "connecting")
        try:
            self.codes[host.name] = conduct(host, payload, supply, sink)
        except CarboyError as error:
            if isinstance(error, OutcomeUnknownError):
                error.hint = self._advice(host.name, tally, changes) or error.hint
            self.codes[host.name] = error.exit_code
            self.console.error(host.name, error)
        except KeyboardInterrupt as stop:
            # Only here is known how far the host has come.
            raise KeyboardInterrupt(self._advice(host.name, tally, changes)) from stop
        return tally

    def _advice(self, host: str, tally: Tally, changes: bool) -> str:
        """What to do after a connection was lost or given up; empty where nothing was at stake."""
        begun = tally.last("begin")
        if begun:
            command = f"invoke deploy --attach {begun['run']} --host {host}"
            return f"it finishes alone unless it was killed there; to follow it: {command}"
        if changes:
            # That it was not heard of proves nothing: the word may have been lost with the connection.
            return f"see whether run {self.name} began, then it finishes alone: invoke status --host {host}"
        return ""

    def _leave(self, hosts: list[str]) -> None:
        """Say which hosts were not contacted, because what failed on one would fail on them too."""
        for host in hosts:
            self.console.event(host, {"event": "skipped", "text": "not contacted: an earlier host failed"})

    def _recap(self, host: str, tally: Tally, check: bool) -> None:
        """One line that says what became of a host."""
        if self.console.machine or self.codes[host]:
            return
        seconds = time.monotonic() - self.console.began
        changed = tally.counts["changed"]
        words = [f"{changed} {'would change' if check else 'changed'}, {tally.counts['ok']} ok"] if tally.counts else []
        switch, planned = tally.last("cutover"), tally.last("plan")
        if planned:
            words.append(f"would switch from {planned['before']} to {planned['release']}")
        if switch:
            words.append(f"{switch['release']} serves, cutover {switch['seconds']:.2f} s")
            words.append(f"before: {switch['before'] or 'nothing'}")
        self.console.line(f"{host}  {' · '.join(words) or 'done'} · {seconds:.1f} s in all", "green")


class Supply:
    """Answers what a host lacks: blobs of its catalog, the code of repairs, and questions about packages."""

    def __init__(self, blobs: Mapping[str, Bytes], code: Callable[[], bytes]) -> None:
        self.blobs = blobs
        self.code = code
        self.house = Wheelhouse(self._text)
        self.made: dict[str, Bytes] = {}

    def __call__(self, need: Need) -> bytes:
        """The bytes for one need."""
        if "blob" in need:
            data = {**self.blobs, **self.house.blobs, **self.made}[need["blob"]]
            return data if isinstance(data, bytes) else data.read_bytes()
        if "code" in need:
            return self.code()
        if "image" in need or "pushed" in need:
            return json.dumps(self._image(need)).encode()
        answer = self.house.installer(need["installer"]) if "installer" in need else self.house.wheels(need["wheels"])
        return json.dumps(answer).encode()

    def _image(self, need: Need) -> list[dict[str, Any]]:
        from carboy.image import Builder  # here, because few runs build one

        builder = Builder(self.blobs.__getitem__, self.house)
        parts = builder.push(need["pushed"]) if "pushed" in need else builder.parts(need["image"])
        self.made |= builder.blobs
        return parts

    def _text(self, digest: str) -> str:
        data = self.blobs[digest]
        return (data if isinstance(data, bytes) else data.read_bytes()).decode()
