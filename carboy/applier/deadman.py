"""The dead-man switch: what a change replaces comes back by itself, unless the change is confirmed in time.

systemd holds the switch, so that it also works once the applier was killed or the host rebooted.
"""

from __future__ import annotations

import os
import secrets
import shlex
from contextlib import contextmanager
from typing import TYPE_CHECKING, Iterator, List

from carboy.applier.host import STATE, Host, link, private, remove, write
from carboy.applier.lock import hold
from carboy.applier.pending import BOOT_UNIT, FOLDER, UNIT, pending, stranded
from carboy.applier.resource import Failure, Locked
from carboy.applier.systemd import systemctl

if TYPE_CHECKING:
    from carboy.applier.guarded import Part

LOCK = "dead-man"
LOCK_SECONDS = 10.0
BOOT_FILE = "%s/%s" % (systemctl.UNITS, BOOT_UNIT)
BOOT_LINK = "%s/sysinit.target.wants/%s" % (systemctl.UNITS, BOOT_UNIT)

BOOT_TEXT = """\
[Unit]
Description=Puts back what a change that nobody confirmed had replaced
DefaultDependencies=no
After=local-fs.target
Before=network-pre.target nftables.service ssh.service ssh.socket

[Service]
Type=oneshot
ExecStart=/bin/sh -c '%s'
Restart=on-failure
RestartSec=5
"""

# Puts back what was there, unless the change was confirmed; then it only cleans up. With "boot" nothing runs yet that
# would have to read the old files anew.
SCRIPT = """\
put() {
    cp -d --preserve=all "$1" "$3" && mv -fT "$3" "$2"
}
cd %(folder)s || exit 1
mv token fired 2>/dev/null
if [ -e fired ]; then
    bad=
%(puts)s
    sync
    if [ "$1" != boot ]; then
        :
%(undos)s
    fi
    [ -z "$bad" ] || exit 1
    echo "$(date -u +%%Y-%%m-%%dT%%H:%%M:%%SZ) before run" %(run)s was put back: %(paths)s >>%(log)s
    rm fired
fi
rm -f %(boot)s
cd / && rm -rf %(folder)s
[ "$1" = boot ] || systemctl stop %(unit)s.timer 2>/dev/null
exit 0
"""


class Deadman:
    """The one dead-man switch of a host.

    All that it needs lies in one folder: copies, the script that puts them back, and the token of who may confirm. The
    token decides: it is renamed by whoever comes first, the script or the confirmation.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self.folder = host.at(FOLDER)

    @contextmanager
    def over(self, parts: List[Part], seconds: float) -> Iterator[str]:
        """Watch over a change that is made in the block, which is given the token; a failure takes it back at once."""
        with self._locked():
            if pending(self.host):
                raise Locked("another run's change still has to be confirmed", hint="deploy again in a minute")
            try:
                yield self._arm(parts, seconds)
            except Exception as problem:
                self._restore(problem)
                raise

    def confirm(self, token: str) -> None:
        """Leave the change in place; raises `Failure` if it was taken back before."""
        with self._locked():
            place = self.folder / "token"
            if not place.exists() or place.read_text() != token:
                raise Failure("too late: the host has put back what was there", hint="correct it, then deploy again")
            os.rename(place, self.folder / "confirmed")
            self.host.run("sh", str(self.folder / "restore"))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Nothing is put back while a change is still being made, and nothing is changed meanwhile."""
        lock = hold(self.host, LOCK, self.host.holder, LOCK_SECONDS)
        try:
            yield
        finally:
            os.close(lock)

    def _arm(self, parts: List[Part], seconds: float) -> str:
        """The order matters if this is cut short: without a token nothing is put back, and then nothing was changed."""
        # What a killed run left before it had changed anything.
        self.host.call("systemctl", "stop", UNIT + ".timer", UNIT + ".service")
        remove(self.folder)
        self._copy(parts)
        self._set_timer(seconds)
        write(self.host.at(BOOT_FILE), (BOOT_TEXT % self._command("boot")).encode())
        self.host.at(BOOT_LINK).parent.mkdir(exist_ok=True)
        link(self.host.at(BOOT_LINK), BOOT_FILE)
        token = secrets.token_hex(16)
        write(self.folder / "token", token.encode(), 0o600)
        os.sync()
        return token

    def _copy(self, parts: List[Part]) -> None:
        private(self.folder)
        for number, part in enumerate(parts):
            if os.path.lexists(self.host.at(part.path)):
                copy = str(self.folder / str(number))
                self.host.run("cp", "-d", "--preserve=all", str(self.host.at(part.path)), copy)
            if part.keep:
                self.host.run("sh", "-c", "cd %s && %s" % (shlex.quote(str(self.folder)), part.keep))
        write(self.folder / "restore", self._script(parts).encode(), 0o600)

    def _script(self, parts: List[Part]) -> str:
        boot = (str(self.host.at(path)) for path in (BOOT_LINK, BOOT_FILE))
        return SCRIPT % {
            "puts": "\n".join("    %s || bad=1" % self._put(number, part) for number, part in enumerate(parts)),
            "undos": "\n".join("        { %s; } || bad=1" % part.undo for part in parts if part.undo),
            "folder": shlex.quote(str(self.folder)),
            "boot": shlex.join(boot),
            "log": shlex.quote(str(self.host.at(STATE) / "restored.log")),
            "paths": shlex.join(part.path for part in parts),
            "run": shlex.quote(self.host.run_id),
            "unit": UNIT,
        }

    def _put(self, number: int, part: Part) -> str:
        """The line of the script for one path; what was not there is said here, lest a lost copy mean the same."""
        place = self.host.at(part.path)
        if not os.path.lexists(self.folder / str(number)):
            return shlex.join(("rm", "-f", str(place)))
        return shlex.join(("put", str(number), str(place), str(place.with_name(".%s.carboy" % place.name))))

    def _set_timer(self, seconds: float) -> None:
        # The lock is held as long as the change is being made, and the kernel frees it if the applier is killed.
        lock = str(self.host.at("/run/carboy") / (LOCK + ".lock"))
        self.host.run(
            *("systemd-run", "--quiet", "--collect", "--unit=" + UNIT, "--on-active=%.1fs" % seconds),
            *("--timer-property=AccuracySec=50ms", "--property=Restart=on-failure", "--property=RestartSec=5"),
            *("flock", lock, "sh", "-c", self._command()),
        )

    def _command(self, mode: str = "") -> str:
        """The line of shell that puts back; once the folder is gone there is nothing to do."""
        script = shlex.quote(str(self.folder / "restore"))
        return "[ ! -e %s ] || exec sh %s %s" % (script, script, mode)

    def _restore(self, problem: Exception) -> None:
        script = self.folder / "restore"
        if not script.exists():
            remove(self.folder)
            return
        done = self.host.call("sh", str(script))
        if done.returncode:
            raise stranded(str(problem), (done.stderr + done.stdout).strip()) from problem
        self.host.say("that failed, and what was there before is back")
