"""Hooks: commands that a release brings for the time around its cutover, run as the release itself runs."""

from __future__ import annotations

import time

from carboy.applier.resource import Failure
from carboy.applier.runtime import Runtime

BEFORE, AFTER = "before_cutover", "after_cutover"
SHOWN_LINES = 15


def run(runtime: Runtime, release: str, moment: str) -> bool:
    """Run what a release brings for a moment, if anything; raises `Failure` with its last words if it fails."""
    host, store = runtime.host, runtime.store
    if not (store.path(release) / "hooks" / moment).exists():
        return False
    once = moment in store.record(release)["gate"]["once"]
    if once and moment in host.args.get("done", ()):
        host.say("%s was run on another host of this run" % moment)
        return True
    began = time.monotonic()
    why, said = runtime.execute(release, moment)
    if why:
        hint = "correct release_%s, or what it needs, and deploy again" % moment
        raise Failure("%s failed (%s)" % (moment, why), details=said, hint=hint)
    host.stream.emit("hook", moment=moment, said=said, seconds=round(time.monotonic() - began, 3), once=once)
    return True
