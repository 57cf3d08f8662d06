"""A hook as an instance of its own: the user, the environment, the folder and the limits of the release, no socket."""

from __future__ import annotations

import time
from typing import Tuple

from carboy.applier.cron.instances import HOOK, Instances
from carboy.applier.hooks import SHOWN_LINES

PAUSE_SECONDS = 0.1
GOOD = "exit 0"


def execute(instances: Instances, release: str, moment: str) -> Tuple[str, str]:
    """Run a hook to its end; why it failed, if it did, and its last lines."""
    host, instance = instances.store.host, release + HOOK
    host.say("running %s of %s" % (moment, release))
    done = instances.control(release, "begin", "hook", moment)
    if done.returncode:
        return done.stderr.strip(), ""
    within = _ends(instances, instance, instances.store.record(release)["gate"]["hook_timeout"])
    how = instances.text(instance, "end") or "nobody saw how it ended"
    said = "\n".join(instances.text(instance, "out").splitlines()[-SHOWN_LINES:])
    instances.control(release, "kill", instance)
    if not within:
        return "timeout", said
    return "" if how == GOOD else how.replace("exit", "exit status"), said


def await_left(instances: Instances) -> None:
    """Wait for the hook of a run that was killed: two migrations at once would be worse than a late one."""
    if any(map(instances.lives, instances.hooks())):
        instances.store.host.say("waiting for a hook that an earlier run left behind")
    for other in instances.hooks():
        _ends(instances, other, float("inf"))


def _ends(instances: Instances, instance: str, seconds: float) -> bool:
    """Wait until a hook has ended, and its end is written down; False if it takes longer."""
    until = time.monotonic() + seconds
    while instances.lives(instance) or instances.kept(instance):
        if time.monotonic() > until:
            return False
        time.sleep(PAUSE_SECONDS)
    return True
