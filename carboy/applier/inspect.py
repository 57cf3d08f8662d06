"""The verbs that only look: `status` and `history`."""

from __future__ import annotations

from carboy.applier import probe, runtime
from carboy.applier.host import Host
from carboy.applier.maintenance import since
from carboy.applier.runs import runs
from carboy.applier.runtime import Runtime
from carboy.applier.session import Arguments, session
from carboy.applier.store import Record, Store

PROBE_SECONDS = 5.0


def main(args: Arguments) -> None:
    """Entry point of the payload."""
    session(args, {"status": status, "history": history}[args["verb"]])


def status(host: Host, args: Arguments) -> None:
    """What serves, since when and how well, what else is kept, and how the last run ended."""
    store = Store(host, args["app"])
    running = runtime.of(store)
    state = running.read()
    for release in state.serving:
        record = store.record(release)
        host.stream.emit(
            "serving",
            release=release,
            chosen=release == state.chosen,
            health=_health(running, release, record),
            revision=record.get("revision", ""),
            development=record.get("gate", {}).get("development", False),
            **running.about(release, state),
        )
    facts = {"socket": state.socket, "chosen": state.chosen, "serving": state.serving, "releases": store.all()}
    host.stream.emit("status", app=args["app"], **facts)
    if since(host, args["app"]):
        host.stream.emit("maintenance", since=since(host, args["app"]))
    last = next(runs(host, args["app"]), None)
    if last:
        host.stream.emit("run", **last.about())


def history(host: Host, args: Arguments) -> None:
    """Every switch there was."""
    for record in Store(host, args["app"]).history():
        host.stream.emit("switch", **record)


def _health(running: Runtime, release: str, record: Record) -> str:
    if not record:
        return "unknown: the folder of this release is gone"
    return str(probe.ask(running.address(release), record["gate"]["health"], PROBE_SECONDS))
