"""What cutovers do to those who ask meanwhile: `python -m benchmarks.receipt [TIMES]`, 16 clients on `/test`."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from typing import Any

from benchmarks.__main__ import ROOT, Bench, bench_host

SOCKETS = {"TCP": "0.0.0.0:8000", "unix": "/run/app.sock"}
VERBS = ("deploy", "rollback")
PHASES = ("before", "during", "after")
ASKING = {"release_receipt_path": "/test", "release_receipt_clients": "16"}
HEAD = "| socket | verb | cutovers | requests | failed | p99 before | p99 during | p99 after | during / before |"
Receipt = dict[str, Any]


def main(times: int) -> None:
    """Switch there and back so many times on each kind of socket, and print the table: medians, worst in brackets."""
    with bench_host() as bench:
        measured = {
            (kind, verb): receipts for kind in SOCKETS for verb, receipts in _socket(bench, kind, times).items()
        }
    print(f"{HEAD}\n{'|---' * HEAD.count(' | ')}|---|")
    for (kind, verb), receipts in measured.items():
        print(_row(kind, verb, receipts))


def _socket(bench: Bench, kind: str, times: int) -> dict[str, list[Receipt]]:
    """The receipts of each verb on one kind of socket."""
    _receipt(bench, "deploy", kind)
    found: dict[str, list[Receipt]] = {verb: [] for verb in VERBS}
    for number in range(times):
        bench.edit(number)
        for verb in VERBS:
            found[verb].append(_receipt(bench, verb, kind))
            print(_row(kind, verb, found[verb][-1:]), file=sys.stderr)
    return found


def _receipt(bench: Bench, verb: str, kind: str) -> Receipt:
    """The receipt of one verb as a whole process."""
    variables = {"app_listen": SOCKETS[kind], **ASKING}
    extra = [word for pair in variables.items() for word in ("-e", "=".join(pair))]
    places = ["-i", "inventory", "-i", str(bench.folder / "hosts.yml"), "--host", "bench"]
    command = [str(ROOT / ".venv/bin/invoke"), verb, *places, *extra, "--receipt", "--json"]
    said = subprocess.run(command, cwd=ROOT, env=bench.env, check=True, stdout=subprocess.PIPE, text=True).stdout
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
