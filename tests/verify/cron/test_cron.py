"""cron, and the line by which it looks after the app."""

from __future__ import annotations

from carboy.verify import judge
from carboy.verify.target import Target


def test_cron_runs(target: Target) -> None:
    """cron runs: without it nobody looks after the app."""
    found = target.output("cat /proc/[0-9]*/comm 2>/dev/null || true").split("\n")
    judge.holds({"cron", "crond"} & set(found), "cron does not run", "service cron start")


def test_crontab(target: Target) -> None:
    """The crontab has the line, and cron will read it: it is root's, and nobody else may write to it."""
    path = f"/etc/cron.d/{target.app.name}"
    line = f"* * * * * root [ ! -x {target.app.home}/control ] || {target.app.home}/control cron-check"
    judge.holds(line in target.text(path).splitlines(), f"{path} lacks the line: {line}", target.repair)
    kept = target.output("stat --format='%%U %%a' %s", path)
    judge.same({"owner and mode": kept}, {"owner and mode": "root 644"}, path, target.repair)


def test_rotation_is_scheduled(target: Target) -> None:
    """cron has the logs rotated daily."""
    judge.holds(target.host.file("/etc/cron.daily/logrotate").exists, "no /etc/cron.daily/logrotate", target.repair)
