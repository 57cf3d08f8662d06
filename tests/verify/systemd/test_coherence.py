"""Every process of the app runs the code, the packages and the environment of one and the same release."""

from __future__ import annotations

from carboy.verify import judge
from carboy.verify.target import Target


def test_processes(target: Target) -> None:
    """Release id, interpreter, packages, folder and unit of each process are those of the release."""
    findings = target.ask("coherence.findings", target.app.home, target.folder.rpartition("/")[2], target.unit)
    judge.none(findings, "not of one release", f"{target.repair}, or on the host: systemctl restart '{target.unit}'")
