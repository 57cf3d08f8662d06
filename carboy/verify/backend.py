"""testinfra over Carboy's own connection: checked host keys, the inventory's settings, and root on the host."""

from __future__ import annotations

import re
import shlex
import time
from types import TracebackType
from typing import Any

import paramiko
from testinfra.backend.base import BaseBackend, CommandResult

from carboy.errors import OutcomeUnknownError, UnreachableError
from carboy.inventory import Host
from carboy.ssh.root import NO_SUDO, SUDO_MISSING
from carboy.transport import Channel, way_to

LONGEST_COMMAND_SECONDS = 600
RETRY_SECONDS = 0.2
MARK = "carboy-verify-mark"
# Between the marks stands what the command wrote, whatever a login shell prints before or sudo makes of exit codes.
# All of it is the standard input of a shell: sudo writes arguments into the host's log, and other users can see them.
SCRIPT = f"""export LC_ALL=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$PATH
echo {MARK}
sh -c %s <<'{MARK}'
%s
{MARK}
printf '{MARK}%%d\\n' $?
"""
SAID = re.compile(rb"%b\n(.*)%b(\d+)\n" % (MARK.encode(), MARK.encode()), re.DOTALL)


class Backend(BaseBackend):  # type: ignore[misc]
    """Runs commands as root over one connection; use as a context manager."""

    NAME = "carboy"

    def __init__(self, declared: Host) -> None:
        super().__init__(declared.name)
        self.declared = declared
        self._connection = way_to(declared)

    def __enter__(self) -> Backend:
        self._connection.__enter__()
        try:
            self.run("true")
        except BaseException:
            self._connection.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.__exit__(kind, error, trace)

    def run(self, command: str, *args: str, stdin: str = "", **kwargs: Any) -> CommandResult:
        """Run a shell command as root; raises `UnreachableError` if it could not even begin."""
        line = self.get_command(command, *args)
        script = SCRIPT % (shlex.quote(line), stdin)
        channel = self._connection.start_as_root(["sh"], script.encode())
        channel.shutdown_write()
        channel.settimeout(LONGEST_COMMAND_SECONDS)
        try:
            said, errors = channel.makefile("rb").read(), channel.makefile_stderr("rb").read()
        except TimeoutError as problem:
            raise OutcomeUnknownError(
                f"no end of: {line[:200]}", where=self._connection.where, hint="is the host overloaded?"
            ) from problem
        found = SAID.search(said)
        if not found:
            raise self._not_run(channel, said + errors)
        return self.result(int(found[2]), line.encode(), found[1], errors)

    def decode(self, data: bytes) -> str:
        """Text of the host, whatever bytes it has."""
        return data.decode("utf-8", "backslashreplace")

    def reopen(self, seconds: float) -> None:
        """Connect anew, as after a reboot; raises `UnreachableError` if sshd does not let us in within the time."""
        self.__exit__(None, None, None)
        until = time.monotonic() + seconds
        while True:
            try:
                self.__enter__()
                return
            except (UnreachableError, paramiko.SSHException, OSError):
                if time.monotonic() > until:
                    raise
                # Nothing announces that a host is up again: it can only be asked.
                time.sleep(RETRY_SECONDS)

    def _not_run(self, channel: Channel, said: bytes) -> UnreachableError:
        code = channel.recv_exit_status()
        if code in (NO_SUDO, SUDO_MISSING):
            hint = f"set ansible_become_password, or give {self._connection.user} NOPASSWD in sudoers"
            return UnreachableError("no root: sudo refuses", where=self._connection.where, hint=hint)
        words = " / ".join(self.decode(said).split("\n")[-3:]).strip(" /") or "nothing was said"
        what = "the connection ended" if code == -1 else f"the host runs no command (exit {code})"
        return UnreachableError(f"{what}: {words}", where=self._connection.where, hint="is the host up?")
