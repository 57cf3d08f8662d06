"""What cutovers do to those who ask meanwhile: `python -m benchmarks.receipt [TIMES]`, 16 clients on `/test`."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.contestants import Carboy
from benchmarks.fleet import Targets, fleet
from benchmarks.packages import pack
from carboy.project import ROOT

SOCKETS = {"TCP": "0.0.0.0:8000", "unix": "/run/app.sock"}
VERBS = ("deploy", "rollback")
PHASES = ("before", "during", "after")
ASKING = {"release_receipt_path": "/test", "release_receipt_clients": "16"}
HEAD = "| socket | verb | cutovers | requests | failed | p99 before | p99 during | p99 after | during / before |"
Receipt = dict[str, Any]


def main(times: int) -> None:
    """Switch there and back so many times on each kind of socket, and print the table: medians, worst in brackets."""
    with tempfile.TemporaryDirectory() as folder, fleet(1) as targets:
        carboy = Carboy(Path(folder), pack(Path(folder)))
        carboy.introduce(targets)
        measured = {
            (kind, verb): receipts
            for kind in SOCKETS
            for verb, receipts in _socket(carboy, targets, kind, times).items()
        }
    print(f"{HEAD}\n{'|---' * HEAD.count(' | ')}|---|")
    for (kind, verb), receipts in measured.items():
        print(_row(kind, verb, receipts))


def _socket(carboy: Carboy, targets: Targets, kind: str, times: int) -> dict[str, list[Receipt]]:
    """The receipts of each verb on one kind of socket."""
    _receipt(carboy, targets, "deploy", kind)
    found: dict[str, list[Receipt]] = {verb: [] for verb in VERBS}
    for _ in range(times):
        carboy.edit()
        for verb in VERBS:
            found[verb].append(_receipt(carboy, targets, verb, kind))
            print(_row(kind, verb, found[verb][-1:]), file=sys.stderr)
    return found


def _receipt(carboy: Carboy, targets: Targets, verb: str, kind: str) -> Receipt:
    """The receipt of one verb as a whole process."""
    variables = {"app_listen": SOCKETS[kind], **ASKING}
    extra = [word for pair in variables.items() for word in ("-e", "=".join(pair))]
    command = carboy.verb(verb, targets, *extra, "--receipt")
    said = subprocess.run(command, cwd=ROOT, env=carboy.env, check=True, stdout=subprocess.PIPE, text=True).stdout
    events = map(json.loads, said.splitlines())
    return next(event for event in events if event["event"] == "receipt")


def _row(kind: str, verb: str, receipts: list[Receipt]) -> str:
    requests, failed = (sum(receipt[key] for receipt in receipts) for key in ("requests", "failed"))
    p99 = {name: [receipt["phases"][name]["p99"] for receipt in receipts] for name in PHASES}
    ratios = [during / before for before, during in zip(p99["before"], p99["during"], strict=True)]
    times = " | ".join(f"{_middle(p99[name], 0)} ms" for name in PHASES)
    return f"| {kind} | {verb} | {len(receipts)} | {requests} | {failed} | {times} | {_middle(ratios, 2)} |"


def _middle(values: list[float], digits: int) -> str:
    """The median, and the worst."""
    return f"{statistics.median(values):.{digits}f} ({max(values):.{digits}f})"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
