"""The app's log files: readable by programs, closed to strangers, and whole after a rotation."""

from __future__ import annotations

import json

import pytest
from testinfra.host import Host

from carboy.verify import judge
from carboy.verify.target import Record, Target

LINES = 500
FIELDS = {
    "@timestamp",
    "remote_addr",
    "protocol",
    "host",
    "request_method",
    "request_path",
    "status_code",
    "response_length",
    "referer",
    "user_agent",
    "x_tracking_id",
    "request_time",
    "release",
}


def test_access_lines(target: Target) -> None:
    """Each access line is a JSON object with exactly the thirteen fields."""
    target.answers()
    log = f"{target.app.logs}/access.log"
    lines = target.output("tail -n %s -- %s", str(LINES), log).splitlines()
    judge.holds(lines, f"{log} is empty after a request", target.repair)
    judge.none([line[:200] for line in lines if not _well_formed(line)], f"lines of {log} that a program cannot read")


def test_modes(host: Host, target: Target) -> None:
    """The log files can be read by the app's group alone."""
    wanted = {
        f"{target.app.logs}/{name}.log": f"{target.app.name}:{target.app.name} 640" for name in ("access", "error")
    }
    listed = host.run("stat --format='%%n %%U:%%G %%a' -- %s %s", *wanted).stdout
    found = dict(line.split(" ", 1) for line in listed.splitlines())
    judge.same(found, wanted, "log files", f"chown {target.app.name}:{target.app.name} and chmod 0640 these")


def test_rule(host: Host, target: Target) -> None:
    """logrotate accepts the rule, which renames and never truncates."""
    rule = f"/etc/logrotate.d/{target.app.name}"
    judge.holds("copytruncate" not in target.text(rule), f"{rule} says copytruncate, which loses lines", target.repair)
    done = host.run("logrotate --debug %s", rule)
    judge.holds(done.rc == 0 and "error:" not in done.stderr, done.stderr.strip()[-300:], target.repair)


def test_rotation(host: Host, target: Target, record_property: Record) -> None:
    """A rotation under load keeps every line, once."""
    log, keep = f"{target.app.logs}/access.log", target.declared.settings["logrotate"].keep
    if not target.may_kill and host.run("ls %s.%s*", log, str(keep)).succeeded:
        pytest.skip("a forced rotation now would drop the oldest log that is kept; ask with --kill")
    judge.holds(target.answers()[0]["status"], "nothing answers, so nothing can be logged", target.repair)
    found = target.ask(
        "disturb.rotation", target.app.listen, target.app.health, f"/etc/logrotate.d/{target.app.name}", log
    )
    judge.holds(found["exit"] == 0, f"logrotate exited {found['exit']}: {found['said']}", "logrotate -d the rule")
    judge.holds(found["rotated"], f"{log} was not rotated: {found['said']}")
    judge.none(found["astray"], f"after the rotation these requests left no line in {log}", target.repair)
    judge.none(found["lost"], f"of {found['sent']} requests these left no line in {log}*")
    judge.none(found["twice"], f"of {found['sent']} requests these left two lines in {log}*")
    record_property("requests", found["sent"])


def _well_formed(line: str) -> bool:
    try:
        found = json.loads(line)
    except ValueError:
        return False
    return isinstance(found, dict) and set(found) == FIELDS
