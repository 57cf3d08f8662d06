"""The public address."""

from __future__ import annotations

from carboy.verify import judge
from carboy.verify.target import Target


def test_listening(target: Target) -> None:
    """The declared address is listening, and systemd holds it whichever release serves."""
    command = "ss --no-header --listening --numeric --processes " + (
        "-x" if target.app.listen.startswith("/") else "-t"
    )
    rows = [line for line in target.output(command).splitlines() if _local(target.app.listen) in line.split()]
    judge.holds(rows, f"nothing listens on {target.app.listen}", f"systemctl start {target.socket}")
    judge.holds(
        "pid=1," in rows[0], f"{target.app.listen} is not held by systemd: {rows[0].split()[-1]}", target.repair
    )


def _local(listen: str) -> str:
    """The address as ss writes it."""
    return listen if ":" in listen or listen.startswith("/") else f"*:{listen}"
