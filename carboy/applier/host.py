"""What a resource may ask of the machine it runs on."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import textwrap
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Dict, Iterable, Iterator, List, Optional, Tuple

from carboy.applier.resource import Failure, Need
from carboy.applier.stream import Stream

STATE = "/var/lib/carboy"
# Before a command: if a run is killed, what it was just building with must not go on beside the next run.
MORTAL = ("setpriv", "--pdeathsig", "KILL")
ENVIRONMENT = {"LC_ALL": "C.UTF-8", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


class Host:
    """The machine below `root`, with the stream to the controller and the bytes that came over it."""

    def __init__(self, stream: Stream, root: str = "/", args: Optional[Dict[str, Any]] = None) -> None:
        self.stream = stream
        self.root = Path(root)
        self.args = args or {}
        # Apart by app: another app's run may be under way.
        self.blobs = self.at("%s/blobs/%s" % (STATE, self.args.get("app", "")))
        self.stale_units = False
        self.lock: Optional[int] = None
        self._foreseen: Dict[Tuple[str, ...], subprocess.Popen[str]] = {}

    def at(self, path: str) -> Path:
        """The place of an absolute path on this host, below its root."""
        return self.root / path.lstrip("/")

    @property
    def run_id(self) -> str:
        """The name of the run that this is a part of."""
        return str(self.args.get("run", "run"))

    @property
    def holder(self) -> Dict[str, str]:
        """Who does this run, from where, since when."""
        return self.args.get("holder", {})  # type: ignore[no-any-return]

    @property
    def live(self) -> bool:
        """Whether this is the machine itself, not a temporary root in a test."""
        return self.root == Path("/")

    def say(self, text: str) -> None:
        """Tell the person what is being done or waited for."""
        self.stream.emit("progress", text=text)

    def call(self, *command: str, env: Optional[Dict[str, str]] = None) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, whatever its exit code; output is captured as text."""
        process = self._foreseen.pop(command, None) or _spawn(command, env)
        stdout, stderr = process.communicate()
        return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)

    def foresee(self, *command: str) -> None:
        """Start a command that `call` will ask for: what it is given then is how things are now."""
        self._foreseen[command] = _spawn(command, None)

    def begin(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a command whose output does not matter; the caller waits for it."""
        nothing = subprocess.DEVNULL
        return subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing, env=ENVIRONMENT, cwd="/")

    def run(self, *command: str, env: Optional[Dict[str, str]] = None) -> str:
        """Run a command that must succeed and return its stdout; raises `Failure` with its last lines."""
        done = self.call(*command, env=env)
        if done.returncode:
            raise Failure(
                "%s exited %d" % (os.path.basename(command[0]), done.returncode),
                details="\n".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-25:]),
                hint="run it by hand on the host: %s" % textwrap.shorten(shlex.join(command), 200, placeholder=" ..."),
            )
        return done.stdout

    def blob(self, need: Need) -> Path:
        """Where the answer to a need lies once it has arrived."""
        # What an answer of an earlier run names, this run's controller may not have at hand.
        asked = json.dumps([need, self.run_id], sort_keys=True)
        return self.blobs / (need.get("blob") or sha256(asked.encode()).hexdigest() + ".answer")

    def has(self, need: Need) -> bool:
        """Whether the answer to a need has arrived, in this run or (for bytes named by digest) in an earlier one."""
        return self.blob(need).exists()

    def answer(self, need: Need) -> object:
        """The answer to a question that the controller resolved, parsed from JSON."""
        return json.loads(self.blob(need).read_text())

    def fetch(self, needs: Iterable[Need]) -> None:
        """Receive everything in `needs`; each answer appears whole or not at all."""
        private(self.blobs)
        arrived: List[Path] = []

        def store(need: Need) -> BinaryIO:
            arrived.append(self.blob(need))
            return open(str(arrived[-1]) + ".part", "wb")

        self.stream.fetch(list(needs), store)
        for path in arrived:
            os.replace(str(path) + ".part", path)


def _spawn(command: Tuple[str, ...], env: Optional[Dict[str, str]]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        env={**ENVIRONMENT, **(env or {})},
        # Never the ssh user's home, from which a Python that root starts would import.
        cwd="/",
    )


def private(folder: Path) -> Path:
    """Have a folder that only root may look into, and any that are missing above it."""
    if not folder.exists():
        private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def write(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Put a file in place whole: readers see the old or the new content, also after a power cut."""
    draft = path.with_name(".%s.carboy" % path.name)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as target:
        target.write(data)
        os.fchmod(target.fileno(), mode)
        target.flush()
        os.fsync(target.fileno())
    os.replace(draft, path)


def link(path: Path, target: str) -> None:
    """Point a symbolic link at `target`, replacing an older link in one step."""
    draft = path.with_name(".%s.carboy" % path.name)
    if draft.is_symlink() or draft.exists():
        draft.unlink()
    draft.symlink_to(target)
    os.replace(draft, path)


def remove(path: Path) -> None:
    """Remove a file or a folder with all it holds; absent is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif path.is_symlink() or path.exists():
        path.unlink()


@contextmanager
def anew(path: Path) -> Iterator[None]:
    """Have a folder built from nothing in the block; what a failure leaves is removed: it may fill the disk."""
    remove(path)
    try:
        yield
    except Exception:
        remove(path)
        raise
