"""What people asked for, as lines on stdout."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from carboy.console.recap import told

Event = dict[str, Any]


def serving(event: Event) -> Iterator[str]:
    """A release that serves."""
    since = _clock(event["since"]) if event["since"] else "(starting)"
    mark = "serves" if event["chosen"] else "runs, but is not the chosen release"
    revision = f" ({event['revision']})" if event["revision"] else ""
    yield f"{event['release']}{revision} {mark} since {since}"
    what = f"main process {event['pid']}" if "pid" in event else f"{len(event['pods'])} pods"
    yield f"  {what}, {event['restarts']} restarts, health {event['health']}"
    if event.get("development"):
        yield "  for development (app_development): let nobody from outside reach it"


def status(event: Event) -> Iterator[str]:
    """The app as a whole."""
    if not event["serving"]:
        yield f"no release of {event['app']} serves"
    yield f"public socket {event['socket']}; releases kept: {', '.join(event['releases']) or 'none'}"


def maintenance(event: Event) -> Iterator[str]:
    """Whether clients see the page in the app's place."""
    yield f"in maintenance since {_clock(event['since'])}" if event["since"] else "not in maintenance"


def run(event: Event) -> Iterator[str]:
    """The last run on the host."""
    code = f" ({event['exit']}): {event['what']}" if event.get("exit") else ""
    began = f"{event['verb']} by {event['who']} from {event['where']} at {event['since']}"
    yield f"last run {event['run']}: {began}: {event['state']}{code}"


def switch(event: Event) -> Iterator[str]:
    """One line of the history."""
    why = f": {event['why']}" if event.get("why") else ""
    who = f"{event['who']}@{event['where']}"
    what = f"{event['action']:<8}  {event['release']} {event.get('revision', '')}"
    yield f"{event['time']}  {what}  {event['outcome']:<7}  {who}{why}"


def finding(event: Event) -> Iterator[str]:
    """One thing that doctor looked at."""
    yield f"{event['state']:<7}  {event['subject']:<12}  {event['text']}"
    if event["hint"]:
        yield f"{'':<7}  {'':<12}  next: {event['hint']}"


def recorded(event: Event) -> Iterator[str]:
    """A run that is kept on this machine."""
    ended = "no end is known" if event["exit"] is None else f"exit {event['exit']}"
    yield f"{event['run']}  {event['verb']:<8}  {ended:<6}  {event['who']}  {event['since']}  {told(event['states'])}"


def catalog(event: Event) -> Iterator[str]:
    """All that would travel to a host, as JSON that is easy to read."""
    yield json.dumps({"host": event["host"], "catalog": event["catalog"]}, indent=1)


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


TOLD: dict[str, Callable[[Event], Iterator[str]]] = {
    "serving": serving,
    "status": status,
    "maintenance": maintenance,
    "run": run,
    "switch": switch,
    "catalog": catalog,
    "finding": finding,
    "recorded": recorded,
}
