"""What happens when processes die. Each check disturbs the app for moments, and leaves it serving again."""

from __future__ import annotations

from typing import Any

import pytest
from testinfra.host import Host

from carboy.verify import judge
from carboy.verify.target import Record, Target

pytestmark = [pytest.mark.kills, pytest.mark.usefixtures("disturbed")]
REPLACED_SECONDS = 30


@pytest.fixture
def patience(target: Target) -> float:
    """Seconds that a start or a stop may take before it counts as failed."""
    systemd = target.declared.settings["systemd"]
    return float(target.app.start_timeout) + float(systemd.stop_timeout) + float(systemd.restart_sec)


def test_killed_main_process(target: Target, patience: float, record_property: Record) -> None:
    """kill -9 of the main process: systemd restarts it once, and it is healthy again."""
    found = target.ask("disturb.kill_main", target.unit, target.app.listen, target.app.health, patience)
    judge.holds(found["back"], f"not back: {_state(found['after'])}", f"systemctl status '{target.unit}'")
    restarts = int(found["after"]["NRestarts"]) - int(found["before"]["NRestarts"])
    judge.same({"restarts": restarts}, {"restarts": 1}, target.unit)
    record_property("back after", f"{found['seconds']:.2f} s")


def test_killed_worker(target: Target, record_property: Record) -> None:
    """kill -9 of a worker: gunicorn replaces it, and systemd restarts nothing."""
    if target.app.server != "gunicorn":
        pytest.skip(f"{target.app.server} is one process, without workers")
    found = target.ask("disturb.kill_worker", target.unit, REPLACED_SECONDS)
    judge.holds(found["back"], f"no new worker within {REPLACED_SECONDS} s", f"invoke logs --host {target.name}")
    before, after = (_kept(found[when]) for when in ("before", "after"))
    judge.same(after, before, target.unit)
    record_property("replaced after", f"{found['seconds']:.2f} s")


def test_terminated_main_process(target: Target, patience: float, record_property: Record) -> None:
    """kill -15 of the main process: a normal stop and no failure; the next request starts the service again."""
    found = target.ask("disturb.terminate_main", target.unit, target.app.listen, target.app.health, patience)
    judge.holds(found["ended"], f"still running {patience:g} s after kill -15", f"systemctl status '{target.unit}'")
    failed = found["ended"]["ActiveState"] == "failed" or found["ended"]["Result"] != "success"
    judge.holds(not failed, f"kill -15 counts as a failure: {_state(found['ended'])}", target.repair)
    judge.holds(
        found["back"], f"no request starts it again: {_state(found['after'])}", f"systemctl start {target.socket}"
    )
    judge.same({"restarts": found["after"]["NRestarts"]}, {"restarts": "0"}, target.unit)
    record_property("first answer after", f"{found['seconds']:.2f} s")


def test_crash_loop(host: Host, target: Target, record_property: Record) -> None:
    """A crash loop ends in failure after the burst, and systemd starts the service no more."""
    shown = target.show(target.unit, "StartLimitBurst", "StartLimitIntervalUSec")
    burst = int(shown["StartLimitBurst"])
    # The instance that runs already was started before counting began, hence one more.
    found = target.ask("disturb.crash_loop", target.unit, burst + 2, judge.seconds(shown["StartLimitIntervalUSec"]))
    of = f"{target.unit} after {found['kills']} kills"
    judge.same(
        {"state": found["after"]["ActiveState"]}, {"state": "failed"}, of, "compare StartLimitBurst in systemctl show"
    )
    again = host.run("systemctl start %s", target.unit)
    closed = target.show(target.socket, "Result")["Result"]
    ended = {"start": "refused" if again.failed else "done", "socket": closed}
    judge.same(ended, {"start": "refused", "socket": "service-start-limit-hit"}, of, target.repair)
    record_property("kills", found["kills"])


def _kept(shown: dict[str, Any]) -> dict[str, Any]:
    return {name: shown[name] for name in ("MainPID", "NRestarts", "ActiveState")}


def _state(shown: dict[str, Any]) -> str:
    return f"{shown['ActiveState']} ({shown['SubState']}), result {shown['Result']}"
