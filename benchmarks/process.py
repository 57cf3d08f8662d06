"""One command as a whole process: its time, its memory, its words."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

WORDS = 4000
PEAK = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print("\\npeak", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


@dataclass(frozen=True)
class Done:
    """What a command took: seconds on the clock and of CPU on this side, and what it printed."""

    seconds: float
    cpu: float
    said: str


def run(command: list[str], env: dict[str, str], *, cwd: Path) -> Done:
    """Run it to its end; ends the benchmark with its last words if it fails."""
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        began = time.monotonic()
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            # Not process.wait(), which does not tell what it took.
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            process.terminate()
            process.wait()
            raise
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}\nended with {process.returncode}:\n{said[-WORDS:]}")
    return Done(seconds, used.ru_utime + used.ru_stime, said)


def peak(command: list[str], env: dict[str, str], *, cwd: Path) -> tuple[Done, int]:
    """Run it, and tell the most bytes of memory that it had."""
    # A process counts what its parent had when it was started, so it is started by a small one.
    done = run([sys.executable, "-I", "-S", "-c", PEAK, *command], env, cwd=cwd)
    return done, int(done.said.split()[-1]) * 1024
