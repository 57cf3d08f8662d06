"""What people see on stderr, and what programs read on stdout."""

from __future__ import annotations

import json
import os
import sys
import time
from types import TracebackType
from typing import Any

from carboy.errors import CarboyError

Event = dict[str, Any]
COLOURS = {"changed": "yellow", "failed": "red", "would change": "yellow", "ok": "green", "error": "red"}
TITLE_WIDTH = 44
DOT = " · "
INDENT = "    "


class Console:
    """Events of all hosts as lines: for people by default, as NDJSON on stdout with `machine`."""

    def __init__(self, *, machine: bool = False, check: bool = False) -> None:
        self.machine = machine
        self.check = check
        self.began = time.monotonic()
        self._live = None if machine or not sys.stderr.isatty() else _Live()

    def __enter__(self) -> Console:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def event(self, host: str | None, event: Event) -> None:
        """Show one event of a host, or of none where none was contacted; that nobody reads any more ends only logs."""
        try:
            self._show(host, event)
        except BrokenPipeError:
            if event["event"] == "log":
                raise
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def _show(self, host: str | None, event: Event) -> None:
        if self.machine:
            print(json.dumps({"host": host, **event}), flush=True)
            return
        show = getattr(self, f"_on_{event['event']}", None)
        if show:
            show(host, event)

    def waiting(self, host: str, text: str) -> None:
        """Say what is being waited for where that can be taken back; it is not worth a line that stays."""
        if self._live:
            self._live.show(f"{host}  {text}")

    def agreed(self, question: str) -> bool:
        """Ask a person; where there is none to ask the answer is no."""
        if self.machine or not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        self.line(f"{question} [y/N]")
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def line(self, text: str, colour: str = "") -> None:
        """One line for people, above the live line if there is one."""
        if self._live:
            self._live.clear()
        print(painted(folded(text, columns()), colour), file=sys.stderr, flush=True)

    def error(self, host: str | None, error: CarboyError) -> None:
        """An error in its three lines, or as an event."""
        if self.machine:
            facts = {"what": error.what, "where": error.where, "hint": error.hint, "exit": error.exit_code}
            self.event(host, {"event": "error", **facts})
        else:
            self.line(str(error), "red")

    def _on_progress(self, host: str, event: Event) -> None:
        if self._live:
            self._live.show(f"{host}  {event['text']}")
        else:
            self.line(f"{host}  {event['text']}")

    def _on_hook(self, host: str, event: Event) -> None:
        for line in event["said"].splitlines():
            self.line(f"{host}  | {line}")
        self.line(f"{host}  {event['moment']} done in {event['seconds']:.1f} s")

    def _on_confirm(self, host: str, event: Event) -> None:
        self.waiting(host, f"a new login must confirm the change within {event['seconds']:g} s")

    def _on_skipped(self, host: str, event: Event) -> None:
        self.line(f"{host}  {event['text']}", "yellow")

    _on_unconfirmed = _on_skipped

    def _on_warning(self, host: str, event: Event) -> None:
        self.line(f"{host}  warning: {event['text']}", "yellow")

    def _on_resource(self, host: str, event: Event) -> None:
        status = event["status"]
        if status == "ok":
            return
        word = "would change" if self.check and status == "changed" else status
        self.line(f"{host}  {event['resource']:<{TITLE_WIDTH}} {word}", COLOURS[status])
        if self.check:
            self._drift(event)
        self._diff(event)

    def _on_plan(self, host: str, event: Event) -> None:  # noqa: ARG002 - every event has this form
        self._diff(event)

    def _diff(self, event: Event) -> None:
        for line in event.get("diff", "").splitlines():
            self.line(f"    {line}", {"+": "green", "-": "red", "~": "yellow"}.get(line[:1], ""))

    def _drift(self, event: Event) -> None:
        for key, (current, desired) in event.get("drift", {}).items():
            self.line(f"    {key}: {_short(current)} -> {_short(desired)}")

    def _on_serving(self, host: str, event: Event) -> None:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event["since"])) if event["since"] else "(starting)"
        mark = "serves" if event["chosen"] else "runs, but is not the chosen release"
        revision = f" ({event['revision']})" if event["revision"] else ""
        print(f"{host}  {event['release']}{revision} {mark} since {since}")
        what = f"main process {event['pid']}" if "pid" in event else f"{len(event['pods'])} pods"
        print(f"{host}    {what}, {event['restarts']} restarts, health {event['health']}")
        if event.get("development"):
            print(f"{host}    for development (app_development): let nobody from outside reach it")

    def _on_status(self, host: str, event: Event) -> None:
        if not event["serving"]:
            print(f"{host}  no release of {event['app']} serves")
        print(f"{host}  public socket {event['socket']}; releases kept: {', '.join(event['releases']) or 'none'}")

    def _on_maintenance(self, host: str, event: Event) -> None:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event["since"] or 0))
        print(f"{host}  {f'in maintenance since {since}' if event['since'] else 'not in maintenance'}")

    def _on_run(self, host: str, event: Event) -> None:
        code = f" ({event['exit']}): {event['what']}" if event.get("exit") else ""
        began = f"{event['verb']} by {event['who']} from {event['where']} at {event['since']}"
        print(f"{host}  last run {event['run']}: {began}: {event['state']}{code}")

    def _on_switch(self, host: str, event: Event) -> None:
        why = f": {event['why']}" if event.get("why") else ""
        who = f"{event['who']}@{event['where']}"
        what = f"{event['action']:<8}  {event['release']} {event.get('revision', '')}"
        print(f"{host}  {event['time']}  {what}  {event['outcome']:<7}  {who}{why}")

    def _on_receipt(self, host: str, event: Event) -> None:
        times = ", ".join(f"{name} {seen['p99']:.0f} ms" for name, seen in event["phases"].items() if seen["p99"])
        what = f"receipt: {event['requests']} requests, {event['failed']} failed"
        self.line(f"{host}  {what} · p99 {times or 'unknown: no answer'}", "red" if event["failed"] else "green")

    def _on_log(self, host: str, event: Event) -> None:  # noqa: ARG002 - every event has this form
        print(event["line"], flush=True)

    def _on_failed(self, host: str, event: Event) -> None:
        for line in event["details"].splitlines():
            self.line(f"{host}  | {line}")
        self.error(host, CarboyError(event["what"], where=f"host {host}", hint=event["hint"]))


class _Live:
    """The last line of a terminal: what is being done or waited for, and for how long."""

    def __init__(self) -> None:
        from rich.console import Console as Rich
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        self._progress = Progress(*columns, console=Rich(stderr=True), transient=True)
        self._task = self._progress.add_task("", total=None)

    def show(self, text: str) -> None:
        """Put a text into the live line."""
        self._progress.update(self._task, description=text)
        self._progress.start()

    def clear(self) -> None:
        """Make room for a line that stays."""
        self._progress.stop()

    stop = clear


def columns() -> int | None:
    """How many characters fit in a line of the terminal; None where people's output goes elsewhere."""
    try:
        # A terminal that was never told its size says 0.
        return os.get_terminal_size(sys.stderr.fileno()).columns or None
    except (OSError, ValueError):
        return None


def folded(text: str, width: int | None) -> str:
    """The text, broken at ` · ` into indented lines where it is wider than that."""
    first, *parts = text.split(DOT)
    lines = [first]
    for part in parts:
        if width and len(lines[-1] + DOT + part) > width:
            lines.append(INDENT + part)
        else:
            lines[-1] += DOT + part
    return "\n".join(lines)


def painted(text: str, colour: str) -> str:
    """The text in a colour where stderr is a terminal and nobody forbids colours."""
    codes = {"green": 32, "yellow": 33, "red": 31}
    if colour not in codes or "NO_COLOR" in os.environ or not sys.stderr.isatty():
        return text
    return f"\033[{codes[colour]}m{text}\033[0m"


def _short(value: Any) -> str:
    if value is None:
        return "(absent)"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "(none)"
    text = str(value)
    return text[:12] if len(text) == 64 else text
