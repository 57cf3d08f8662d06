"""The units as systemd itself sees them: started at boot, restarted after a crash, and confined."""

from __future__ import annotations

import re

from testinfra.host import Host

from carboy.verify import judge
from carboy.verify.target import Target

HIGHEST_EXPOSURE = 1.5
WANTED = {
    "Type": "notify",
    "Restart": "on-failure",
    "KillMode": "mixed",
    "NeedDaemonReload": "no",
    "DropInPaths": "",
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
}


def test_socket_unit(target: Target) -> None:
    """The socket is enabled and listens."""
    found = target.show(target.socket, "ActiveState", "UnitFileState", "NeedDaemonReload")
    wanted = {"ActiveState": "active", "UnitFileState": "enabled", "NeedDaemonReload": "no"}
    judge.same(found, wanted, target.socket, target.repair)


def test_service_unit(target: Target) -> None:
    """The service is enabled and runs."""
    found = target.show(target.unit, "ActiveState", "UnitFileState", "User")
    wanted = {"ActiveState": "active", "UnitFileState": "enabled", "User": target.app.name}
    judge.same(found, wanted, target.unit, f"systemctl status '{target.unit}'")


def test_effective_settings(target: Target) -> None:
    """What systemd holds true of the service is what the release says, drop-ins and all."""
    judge.same(target.show(target.unit, *WANTED), WANTED, target.unit, f"systemctl cat '{target.unit}'")


def test_start_limit(target: Target) -> None:
    """A crash loop ends: all starts of a burst fit into the interval that they are counted in."""
    shown = target.show(target.unit, "StartLimitBurst", "StartLimitIntervalUSec", "RestartUSec")
    burst, interval = int(shown["StartLimitBurst"]), judge.seconds(shown["StartLimitIntervalUSec"])
    pauses = burst * judge.seconds(shown["RestartUSec"])
    what = f"{burst} starts with their pauses take {pauses:g} s, and are only counted for {interval:g} s"
    judge.holds(burst and pauses < interval, what, "raise systemd_start_limit_interval")


def test_stop_outlasts_the_grace(target: Target) -> None:
    """systemd waits longer for the end than the server lets requests take."""
    limit = judge.seconds(target.show(target.unit, "TimeoutStopUSec")["TimeoutStopUSec"])
    grace = float(target.app.stop_timeout)
    judge.holds(limit > grace, f"systemd kills after {limit:g} s, the server's grace is {grace:g} s", target.repair)


def test_exposure(target: Target) -> None:
    """systemd-analyze security rates the service at 1.5 or less."""
    said = target.output("systemd-analyze security --no-pager %s", target.unit).splitlines()[-1]
    found = re.search(r": ([\d.]+) ", said)
    judge.holds(found and float(found[1]) <= HIGHEST_EXPOSURE, said, f"systemd-analyze security '{target.unit}'")


def test_unit_files_are_clean(host: Host, target: Target) -> None:
    """systemd-analyze verify finds nothing to remark."""
    # Before systemd 250 there was no such option, and no exit code either: what it says has to do.
    strict = "systemd-analyze --help | grep -q recursive-errors && strict=--recursive-errors=yes"
    done = host.run(f"{strict}; systemd-analyze verify --man=no $strict %s %s", target.unit, target.socket)
    judge.holds(done.rc == 0 and not done.stderr.strip(), done.stderr.strip() or f"exit {done.rc}", target.repair)


def test_not_a_daemon(target: Target) -> None:
    """The server stays in the foreground, where systemd can watch it."""
    [main] = [process for process in target.ask("look.processes", target.unit) if process["main"]] or [{"argv": []}]
    judge.holds(main["argv"], f"{target.unit} has no main process", f"systemctl status '{target.unit}'")
    judge.none(
        [word for word in main["argv"] if word in ("-D", "--daemon")], "the server was started with", target.repair
    )


def test_rotation_is_scheduled(host: Host, target: Target) -> None:
    """The timer that rotates logs is enabled and active."""
    timer = host.service("logrotate.timer")
    found = {"enabled": timer.is_enabled, "active": timer.is_running}
    judge.same(found, {"enabled": True, "active": True}, "logrotate.timer", target.repair)
