"""The gate: a release runs on a private socket, in its own sandbox, and must be healthy before the public sees it."""

from __future__ import annotations

from carboy.applier import probe, systemd
from carboy.applier.host import Host, remove
from carboy.applier.resource import Failure
from carboy.applier.units import Units

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
            raise _refused(host, unit, "the new release does not start")
        answer = probe.ask(units.candidate_address(release), gate["health"], gate["start_timeout"])
        if not answer.healthy:
            raise _refused(host, unit, "the new release is not healthy: %s" % answer)
    finally:
        discard(units, release)


def discard(units: Units, release: str) -> None:
    """Kill a candidate and forget it; no request of the public ever reached it."""
    host, names = units.store.host, (units.candidate_socket(release), units.candidate(release))
    host.call("systemctl", "stop", *names)
    for name in names:
        remove(host.at("%s/%s" % (systemd.TRANSIENT, name)))


def explain(host: Host, unit: str) -> str:
    """What systemd and the app itself say of a unit that is not well."""
    shown = systemd.show(host, unit)[unit]
    facts = "unit %s: %s (%s), exit status %s" % (unit, shown["ActiveState"], shown["Result"], shown["ExecMainStatus"])
    return "%s\n%s" % (facts, systemd.last_lines(host, shown))


def _refused(host: Host, unit: str, what: str) -> Failure:
    details = explain(host, unit)
    host.call("systemctl", "reset-failed", unit, unit.replace(".service", ".socket"))
    return Failure(what, details=details, hint="mend the app and deploy again")


def _install(units: Units, release: str, environment: dict[str, str]) -> None:
    """The release's own unit on another socket, and without restarts."""
    host, socket = units.store.host, units.candidate_socket(release)
    own = (units.store.path(release) / "units" / units.instance(release)).read_text()
    kept = [line for line in own.splitlines() if not line.startswith("Sockets=")]
    extra = "\n".join('Environment="%s=%s"' % pair for pair in sorted(environment.items()))
    texts = {
        units.candidate(release): "\n".join(kept) + "\n" + SERVICE % (socket, extra),
        socket: SOCKET % units.candidate_address(release),
    }
    for name, text in texts.items():
        systemd.install(host, host.at("%s/%s" % (systemd.TRANSIENT, name)), text.encode())
    systemd.settle(host)
