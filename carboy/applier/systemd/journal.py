"""What units wrote to the journal."""

from __future__ import annotations

from typing import Dict

from carboy.applier.host import Host

SECONDS = "5"


def last_lines(host: Host, shown: Dict[str, str], count: int = 30) -> str:
    """The last lines a unit wrote to the journal since it was started last, given what `show` says of it."""
    return journal(host, "-n", str(count), "_SYSTEMD_INVOCATION_ID=" + shown.get("InvocationID", "none")).rstrip()


def journal(host: Host, *words: str) -> str:
    """Lines of the journal; none if it does not answer, for a way back may wait for them."""
    # What was said just before an end may not be written yet.
    host.call("timeout", SECONDS, "journalctl", "--sync")
    return host.call("timeout", SECONDS, "journalctl", "-q", "-o", "cat", *words).stdout
