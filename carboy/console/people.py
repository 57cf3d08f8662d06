"""Events for people: of one host every step, of many hosts one line each and whatever asks for attention."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from carboy.console import recap
from carboy.console.facts import TOLD
from carboy.console.screen import Screen, columns
from carboy.console.text import cells, padded, visible
from carboy.console.words import SAID, Line, Look, line

Event = dict[str, Any]
NAMED = 4
# A host may be of another version, or not be what it says.
UNREADABLE = (AttributeError, KeyError, TypeError, ValueError)


class People:
    """Shows events on a screen; knows which hosts take part, and how each stands."""

    def __init__(self, screen: Screen, *, check: bool) -> None:
        self.screen = screen
        self.check = check
        self.verb = ""
        self.hosts: Sequence[str] = ()
        self.results: dict[str, Event] = {}
        self._name_width = 0
        self._plans: dict[str, Event] = {}
        self._of_run: dict[str, Callable[[Event], None]] = {
            "started": self._started,
            "batch": self._batch,
            "stopped": self._stopped,
            "finished": self._finished,
        }

    @property
    def many(self) -> bool:
        """Whether this is about more than one host."""
        return len(self.hosts) > 1

    def show(self, host: str | None, event: Event) -> None:
        """Show one event; one that cannot be understood is shown as it is."""
        kind = str(event["event"])
        try:
            if host is None and kind in self._of_run:
                self._of_run[kind](event)
            elif kind in TOLD or kind == "log":
                self._fact(host, kind, event)
            elif host is not None:
                self._of_host(host, kind, event)
            else:
                self._say(None, kind, event)
        except UNREADABLE:
            self._lines(host, [line(f"? {json.dumps(event)}")])

    def doing(self, host: str, text: str) -> None:
        """What a host does now, where that can be taken back."""
        if self.screen.lively:
            self.screen.live.show(host, text)

    def _of_host(self, host: str, kind: str, event: Event) -> None:
        passing = self._passing(kind, event)
        if kind == "result":
            self._result(host, event)
        elif passing and (self.many or self.screen.lively or kind != "progress"):
            self.doing(host, passing)
        else:
            self._say(host, kind, event)

    def _passing(self, kind: str, event: Event) -> str:
        """What an event says that a host does now; empty if it says something that stays."""
        if kind == "connecting":
            return kind
        if kind == "confirm":
            return f"a new login must confirm the change within {event['seconds']:g} s"
        if kind == "check" and self.many and event["outcome"] != "failed":
            return str(event["title"])
        if kind == "verified" and self.many:
            return "done"
        if kind == "resource" and self.many and not self._stays(event):
            return str(event["resource"])
        return str(event["text"]) if kind in ("progress", "checking") else ""

    def _stays(self, event: Event) -> bool:
        return event["status"] == "failed" or "diff" in event or (self.check and event["status"] != "ok")

    def _say(self, host: str | None, kind: str, event: Event) -> None:
        if kind == "plan" and host is not None:
            self._plans[host] = event
        width = columns()
        look = Look(width and width - cells(self._head(host)), check=self.check)
        self._lines(host, list(SAID[kind]({**event, "host": host}, look)) if kind in SAID else [])

    def _lines(self, host: str | None, lines: Iterable[Line]) -> None:
        head = self._head(host)
        # A host's words may have lines of their own, and each must show whose it is.
        self.screen.lines(
            (part if more and not self.many else head + part, colour)
            for text, colour, more in lines
            for part in text.splitlines() or [""]
        )

    def _head(self, host: str | None) -> str:
        """The host's name, in a column with the other names."""
        return "" if host is None else padded(visible(host), self._name_width) + "  "

    def _fact(self, host: str | None, kind: str, event: Event) -> None:
        # A program gets a log as it is; a terminal would do what it says.
        log, raw = kind == "log", not sys.stdout.isatty()
        head = self._head(host) if self.many or kind not in ("log", "catalog") else ""
        for text in [event["line"]] if log else TOLD[kind]({**event, "host": host}):
            for part in text.split("\n"):
                self.screen.fact(head + (part if log and raw else visible(part)), final=log)

    def _started(self, event: Event) -> None:
        self.verb, self.hosts = event["verb"], event["hosts"]
        self.check = self.check or self.verb == "plan"
        self._name_width = min(max(map(cells, self.hosts), default=0), recap.LONGEST_NAME)
        self._count()

    def _count(self) -> None:
        """Say below the hosts that are under way how many are through."""
        if self.screen.lively and self.many:
            self.screen.live.order = self.hosts
            self.screen.live.footer = f"{len(self.results)} of {len(self.hosts)} hosts are through"

    def _batch(self, event: Event) -> None:
        names, left = event["hosts"], f" · {event['left']} left" if event["left"] else ""
        who = ", ".join(names) if len(names) <= NAMED else f"{len(names)} hosts"
        self._lines(None, [line(f"batch {event['number']}: {who}{left}")])

    def _stopped(self, event: Event) -> None:
        back = f" · going back: {', '.join(event['back'])}" if event["back"] else ""
        self._lines(None, [line(f"stopped: {event['text']}{back}", "red")])

    def _result(self, host: str, event: Event) -> None:
        self.results[host] = event
        if self.screen.lively:
            self.screen.live.drop(host)
        self._count()
        if self.verb not in recap.TOLD:
            return
        plan = self._plans.get(host, {}) if self.check else None
        if self.many:
            width = columns()
            self._lines(host, [recap.of_many(event, plan, width and width - cells(self._head(host)))])
        elif event["state"] in recap.WELL and self.verb in recap.ALONE:
            self._lines(host, [recap.of_one(event, plan)])

    def _finished(self, event: Event) -> None:
        self.screen.stop()
        if self.many:
            ordered = {host: self.results[host] for host in self.hosts if host in self.results}
            self._lines(None, recap.table(ordered, columns()) if self.verb in recap.TOLD else [])
            self._lines(None, [recap.summary(event)])
