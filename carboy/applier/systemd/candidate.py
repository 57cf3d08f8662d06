"""The gate: a release runs on a private socket, in its own sandbox, and must be healthy before the public sees it."""

from __future__ import annotations

from typing import Optional

from carboy.applier import coherence, probe
from carboy.applier.host import remove
from carboy.applier.resource import Failure
from carboy.applier.systemd import systemctl
from carboy.applier.systemd.explain import failure
from carboy.applier.systemd.units import Units

SOCKET = """[Socket]
ListenStream=%s
SocketMode=0600
DirectoryMode=0700
RemoveOnStop=yes
"""
# A second start would be systemd's answer to the probe's own connection after a crash.
SERVICE = """[Unit]
StartLimitIntervalSec=1h
StartLimitBurst=1

[Service]
Sockets=%s
Restart=no
KillSignal=SIGKILL
SuccessExitStatus=SIGKILL
%s
"""


def judge(units: Units, release: str) -> None:
    """Start the release as a candidate, ask for its health, stop it; raises `Failure` with the app's last log lines."""
    host, unit = units.store.host, units.candidate(release)
    gate = units.store.record(release)["gate"]
    _install(units, release, gate["candidate"])
    host.say("starting %s on a private socket" % release)
    try:
        if host.call("systemctl", "start", unit).returncode:
            raise _refused(units, unit, "the new release does not start")
        answer = probe.ask(units.candidate_address(release), gate["health"], gate["start_timeout"])
        if not answer.healthy:
            raise _refused(units, unit, "the new release is not healthy", answer)
        prove(units, release, unit)
    finally:
        discard(units, release)


def discard(units: Units, release: str) -> None:
    """Kill a candidate and forget it; no request of the public ever reached it."""
    host, names = units.store.host, (units.candidate_socket(release), units.candidate(release))
    host.call("systemctl", "stop", *names)
    for name in names:
        remove(host.at("%s/%s" % (systemctl.TRANSIENT, name)))


def prove(units: Units, release: str, unit: str) -> None:
    """Raise `Failure` unless every process of the unit runs the release's own code with its own packages."""
    found = coherence.findings(units.store.home, release, unit)
    if found:
        hint = "nothing should change a release; deploy again, and it is built anew"
        raise Failure("%s does not run as it was built" % release, details="\n".join(found), hint=hint)


def _refused(units: Units, unit: str, what: str, answer: Optional[probe.Answer] = None) -> Failure:
    explained = failure(units, unit, what, answer)
    units.store.host.call("systemctl", "reset-failed", unit, unit.replace(".service", ".socket"))
    return explained


def _install(units: Units, release: str, environment: dict[str, str]) -> None:
    """The release's own unit on another socket, and without restarts."""
    host, socket = units.store.host, units.candidate_socket(release)
    extra = "\n".join('Environment="%s=%s"' % pair for pair in sorted(environment.items()))
    texts = {
        units.candidate(release): units.text(release, without=("Sockets",)) + SERVICE % (socket, extra),
        socket: SOCKET % units.candidate_address(release),
    }
    for name, text in texts.items():
        systemctl.install(host, host.at("%s/%s" % (systemctl.TRANSIENT, name)), text.encode())
    systemctl.settle(host)
