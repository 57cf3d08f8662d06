"""A log made short for a person: the lines that say what went wrong, and what they add up to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from typing import List

LONGEST = 200
LINES = 14
# The access log, and what gunicorn says of a start that goes well.
CHATTER = re.compile(r'\{"@timestamp"|\[[^]]+\] \[\d+\] \[(INFO|DEBUG)\]')
STAMP = re.compile(r"^\[[^]]+ [+-]\d{4}\] \[\d+\] \[[A-Z]+\] ")
NUMBER = re.compile(r"\d+")
BEGINNING = "Traceback (most recent call last):"
FRAME = '  File "'
# Frames of the machinery around the app; they are the same in each error.
MACHINERY = ("<frozen", "/carboy_", "site-packages/gunicorn/", "/gevent/pywsgi.py", "/werkzeug/serving.py")


@dataclass(frozen=True)
class Excerpt:
    """The last lines worth reading; of the last traceback the exception, its last frame, and the app's last frame."""

    lines: List[str]
    said: str = ""
    frame: str = ""
    place: str = ""


def excerpt(log: str, release: str) -> Excerpt:
    """Read a log of the release in this folder: paths become those in the app's source, tracebacks short."""
    text = re.sub(re.escape(release) + r"/(tree/|venv/lib/[^/]+/(?=site-packages/))", "", log)
    reader = _Reader()
    for line in text.splitlines():
        reader.take(line)
    reader.end("")
    lines = [line[:LONGEST] for line in _without_repeats(reader.lines)]
    return Excerpt(lines[-LINES:], reader.said[:LONGEST], reader.frame, reader.place)


class _Reader:
    """Goes through a log line by line, and holds a traceback back until it is complete."""

    def __init__(self) -> None:
        self.lines: List[str] = []
        self.said = self.frame = self.place = ""
        self._frames: List[List[str]] = []

    def take(self, line: str) -> None:
        """Take in the next line."""
        if line.startswith(FRAME):
            self._frames.append([line])
        elif self._frames:
            self._go_on(line)
        elif not CHATTER.match(line):
            self._keep(line)

    def end(self, exception: str) -> None:
        """End the traceback, if there is one, with the line that names the exception."""
        if not self._frames:
            return
        # Both are kept whole: for a syntax error the last frame has the mark.
        shown = [frame for frame in self._frames if _own(frame)] or self._frames[-1:]
        *before, last = [frame for frame in shown if not _machinery(frame)] or [[]]
        for line in [line for frame in before for line in frame[:2]] + last:
            self._keep(line)
        self._keep(exception)
        own = [frame[0] for frame in self._frames if _own(frame)]
        self.said, self.frame = exception, self._frames[-1][0].strip()
        self.place = re.sub(r'\s*File "(.*?)", (line \d+).*', r"\1, \2", own[-1]) if own else ""
        self._frames = []

    def _go_on(self, line: str) -> None:
        if line.startswith("   ") or not line.strip(" ^~"):
            self._frames[-1].append(line)
        else:
            self.end(line)

    def _keep(self, line: str) -> None:
        if line.strip() and line != BEGINNING:
            self.lines.append(STAMP.sub("", line.rstrip()))


def _own(frame: List[str]) -> bool:
    """Whether it is the app's: in its source, so that no folder of the host is left in the path."""
    return not frame[0].startswith((FRAME + "/", FRAME + "<", FRAME + "site-packages/", FRAME + "src/"))


def _machinery(frame: List[str]) -> bool:
    return any(words in frame[0] for words in MACHINERY)


def _without_repeats(lines: List[str]) -> List[str]:
    """Lines that differ in numbers only, such as those of workers that die one after another, once with their count."""
    alike = [list(group) for _, group in groupby(lines, lambda line: NUMBER.sub("", line))]
    return ["%s (%d times)" % (group[0], len(group)) if len(group) > 1 else group[0] for group in alike]
