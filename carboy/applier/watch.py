"""The watch over a release that has joined: its health, its restarts, and its errors in the access log."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path
from typing import Optional

from carboy.applier import probe
from carboy.applier.policy import Policy
from carboy.applier.receipt import AFTER, Prober
from carboy.applier.runtime import Runtime

ANSWER_SECONDS = 5.0
PAUSE_SECONDS = 0.1
AFTER_SECONDS = 1.0
FEWEST_ERRORS = 5
OURS = b'"user_agent": "carboy-'
STATUS = re.compile(rb'"status_code": (\d)')


class Watch:
    """Begins when it is made; each look raises `Failure` on a breach."""

    def __init__(self, runtime: Runtime, release: str, policy: Policy, prober: Optional[Prober] = None) -> None:
        self.runtime, self.release, self.policy, self.prober = runtime, release, policy, prober
        self.gate = runtime.store.record(release)["gate"]
        self.answers = Answers(runtime.host.at("/var/log/%s/access.log" % runtime.store.app), release)
        self.vital = runtime.vital(release)
        self.until = time.monotonic() + policy.watch
        self.alone_for = 0.0

    def beside(self) -> None:
        """Look for half of the time, while others still serve and could at once serve alone again."""
        self.alone_for = self.policy.watch / 2
        half = time.monotonic() + self.alone_for
        while time.monotonic() < half:
            # On its own socket: the others would answer some public questions, and may not know its health path.
            self._look(self.runtime.address(self.release))
            time.sleep(PAUSE_SECONDS)
        self._stayed_up()

    def alone(self, stopping: "subprocess.Popen[bytes]") -> None:
        """Look until the others are gone and the time is over, at the public socket once the release serves alone."""
        gone = False
        while not gone or time.monotonic() < self.until:
            if not gone and stopping.poll() is not None:
                gone = True
                self._begin_after()
            self._look(probe.address(self.gate["listen"]) if gone else self.runtime.address(self.release))
            time.sleep(PAUSE_SECONDS)
        if self.prober:
            # The last requests may still be under way: only their end tells.
            self.prober.stop()
        self._heed(self.prober)
        self._stayed_up()

    def _begin_after(self) -> None:
        """From here on the release serves alone; a receipt has a phase of its own for it."""
        if self.prober:
            self.prober.phase(AFTER)
            self.alone_for = max(self.alone_for, AFTER_SECONDS)
        self.until = max(self.until, time.monotonic() + self.alone_for)

    def _look(self, where: probe.Address) -> None:
        answer = probe.ask(where, self.gate["health"], ANSWER_SECONDS)
        if not answer.healthy:
            raise self.runtime.failure(self.release, "not healthy after the switch", answer)
        errors, total = self.answers.count()
        if errors >= FEWEST_ERRORS and 100 * errors > self.policy.max_errors * total:
            told = "%d of its %d answers since it joined were errors of the server" % (errors, total)
            raise self.runtime.failure(self.release, told)
        self._heed(self.prober)

    def _heed(self, prober: Optional[Prober]) -> None:
        told = prober.failures() if prober else []
        # What falls into a pause that nobody can avoid is no breach; the receipt shows it all the same.
        failed = [each for each in told if each.startswith(AFTER) or not self.runtime.pauses(self.release)]
        if failed:
            raise self.runtime.failure(self.release, "the receipt has a failed request: %s" % failed[0])

    def _stayed_up(self) -> None:
        if not self.vital or self.runtime.vital(self.release) != self.vital:
            raise self.runtime.failure(self.release, "%s did not stay up" % self.runtime.name(self.release))


class Answers:
    """The answers of one release to the public, counted in the access log from now on."""

    def __init__(self, log: Path, release: str) -> None:
        self.log = log
        self.mark = b'"release": "%s"' % release.encode()
        self.errors = self.total = 0
        self.at = log.stat().st_size if log.exists() else 0
        self.rest = b""

    def count(self) -> "tuple[int, int]":
        """Errors (status 5xx) and all answers so far; a rotation in between loses at most what was not read yet."""
        if self.log.exists():
            self._read()
        return self.errors, self.total

    def _read(self) -> None:
        with open(self.log, "rb") as log:
            size = log.seek(0, 2)
            log.seek(self.at if size >= self.at else 0)
            *lines, self.rest = (self.rest + log.read()).split(b"\n")
            self.at = log.tell()
        # Carboy's own questions are none of the public's.
        ours = [STATUS.search(line) for line in lines if self.mark in line and OURS not in line]
        statuses = [found[1] for found in ours if found]
        self.errors += statuses.count(b"5")
        self.total += len(statuses)
