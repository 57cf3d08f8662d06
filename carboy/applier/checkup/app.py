"""The app on the host: whether it is there and well, and whether anybody is at work on it."""

from __future__ import annotations

import json
from typing import Iterator, Set

from carboy.applier import probe, runtime
from carboy.applier.checkup.finding import FAILED, WARNING, Finding, well
from carboy.applier.checkup.ports import listeners
from carboy.applier.host import Host
from carboy.applier.name import Name
from carboy.applier.pending import pending
from carboy.applier.runs import KILLED, runs
from carboy.applier.store import Store

PROBE_SECONDS = 5.0


def lock(host: Host) -> Iterator[Finding]:
    """Whether a run holds the app; the kernel's list is read, because to try the lock would keep a deploy out."""
    if not host.args["app"] or host.args["runtime"] == "kubernetes":
        return
    path = host.at("/run/carboy/%s.lock" % host.args["app"])
    locks = host.at("/proc/locks").read_text().splitlines()
    held = path.exists() and any("FLOCK" in line and ":%d " % path.stat().st_ino in line for line in locks)
    last = next(runs(host, host.args["app"]), None)
    about = last.about() if last else {}
    if held:
        who = json.loads(path.read_text() or "{}")
        text = "held by %s from %s since %s" % tuple(who.get(key, "?") for key in ("who", "where", "since"))
        yield Finding(WARNING, text, "watch it: invoke deploy --attach last")
    elif about.get("state") == KILLED:
        yield Finding(WARNING, "the last run, %(run)s, was killed before its end" % about, "deploy again")
    else:
        yield well(
            "free; the last run, %(run)s (%(verb)s), %(state)s" % about if about else "free; no run was here yet"
        )


def guarded(host: Host) -> Iterator[Finding]:
    """Whether a change of access waits to be confirmed."""
    if pending(host):
        yield Finding(WARNING, "one waits to be confirmed, or is just taken back", "wait a minute, then look again")


def serving(host: Host) -> Iterator[Finding]:
    """What serves, and how well."""
    if not host.args["app"] or host.args["runtime"] == "kubernetes":
        return
    store = Store(host, host.args["app"])
    others = Name(store.app, "/srv/" + store.app, "/var/log/" + store.app).current(host)["taken by"]
    if others:
        yield Finding(FAILED, "its name is taken: %s" % ", ".join(others), "choose another app_name")
    running = runtime.of(store)
    state = running.read()
    if not state.serving:
        yield _silent(state, running)
    for release in state.serving:
        record = store.record(release)
        answer = probe.ask(running.address(release), record["gate"]["health"], PROBE_SECONDS)
        text = "%s serves, health %s" % (release, answer)
        yield well(text) if answer.healthy else Finding(FAILED, text, "see: invoke logs; or invoke rollback")


def _silent(state: runtime.State, running: runtime.Runtime) -> Finding:
    if not state.chosen:
        return well("not deployed yet")
    text = "%s is chosen and does not run; public socket %s" % (state.chosen, state.socket)
    return Finding(FAILED, text, "invoke deploy starts it; see on the host: %s" % running.inquiry)


def _ours(store: Store) -> Set[int]:
    """The ports that the app has now, which need not be those that are declared."""
    state = runtime.of(store).read()
    gates = [store.record(release).get("gate", {}) for release in {*state.serving, state.chosen} if release]
    public = [str(gate.get("listen", "")) for gate in gates] if state.socket == "active" else []
    return {probe.split(listen)[1] for listen in public if listen and not listen.startswith("/")}


def address(host: Host) -> Iterator[Finding]:
    """Whether the app's address is its own to listen on."""
    listen = str(host.args["listen"])
    if not listen or host.args["runtime"] == "kubernetes":
        return
    if listen.startswith("/"):
        yield well("%s, a unix socket" % listen)
        return
    port = int(listen.rpartition(":")[2])
    others = listeners(host, port)
    if others and port not in _ours(Store(host, host.args["app"])):
        text = "port %d is taken by %s" % (port, ", ".join(others))
        yield Finding(FAILED, text, "choose another app_listen, or end that program")
    else:
        yield well("port %d is %s" % (port, "the app's" if others else "free"))
