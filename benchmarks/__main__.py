"""Time deploys: `python -m benchmarks [--quick] [--cases one,far,fleet,scale]`; about 35 minutes, see `--help`."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import machine, pages
from benchmarks.cases import QUICK, Bench, Extent
from benchmarks.packages import PYINFRA, have_pyinfra
from benchmarks.results import Results
from carboy.project import ROOT, STATE

CASES = ("one", "far", "fleet", "scale")
KEPT = STATE / "bench.json"
BYTECODE = ("carboy", "roles", "tasks.py", ".venv/lib", str(PYINFRA / "lib"))


def main() -> None:
    """Measure what was asked for and print it; a whole run is written into the pages too."""
    asked = _arguments()
    if asked.show:
        pages.write(Results.load(KEPT))
        return
    cases = asked.cases.split(",") if asked.cases else CASES
    results = _measured(cases, QUICK if asked.quick else Extent())
    print(pages.tables(results))
    if not asked.quick and cases == CASES:
        results.save(KEPT)
        pages.write(results)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="everything once, on one and on two hosts: under 3 minutes"
    )
    parser.add_argument("--cases", help=f"some of {','.join(CASES)} (default: all)")
    parser.add_argument("--show", action="store_true", help="measure nothing, write the pages from the last whole run")
    return parser.parse_args()


def _measured(cases: tuple[str, ...] | list[str], extent: Extent) -> Results:
    # An end by a signal is to remove the hosts as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    results = Results(machine.facts(), time.strftime("%Y-%m-%d"), extent.hosts)
    have_pyinfra()
    subprocess.run([sys.executable, "-m", "compileall", "-q", *BYTECODE], cwd=ROOT, check=False, capture_output=True)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), extent, results)
        bench.warm_up()
        for case in cases:
            getattr(bench, case)()
    return results


if __name__ == "__main__":
    main()
