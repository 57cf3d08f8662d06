"""Getting in once the host is known for who it is: keys one after the other, then the password."""

from __future__ import annotations

import paramiko

from carboy.errors import UnreachableError
from carboy.ssh.endpoint import Endpoint
from carboy.ssh.key_file import Unusable
from carboy.ssh.keys import Agent, Key, offered
from carboy.ssh.pulse import Line

DEFAULT_TRIES = 6


def log_in(end: Endpoint, line: Line) -> str:
    """Log in, and return with which key; raises UnreachableError with all that was tried."""
    with Agent(end) as agent:
        keys = offered(end, agent) if end.one("pubkeyauthentication") not in ("no", "false") else []
        attempt = Attempt(end, line)
        return next(filter(None, map(attempt.key, keys)), "") or attempt.password()


class Attempt:
    """One login, and what has failed so far."""

    def __init__(self, end: Endpoint, line: Line) -> None:
        self._end = end
        self._line = line
        self._refused: list[str] = []
        self._unusable: list[str] = []
        self._partial = ""

    def key(self, key: Key) -> str:
        """Try a key; returns what got in, empty if it did not."""
        if self._partial:
            return ""
        try:
            with self._line.at_home():
                found = key.load()
            wanted = self._line.auth_publickey(self._end.user, found)
        except Unusable as problem:
            self._unusable.append(f"{key.label}: {problem}")
            return ""
        except paramiko.BadAuthenticationType:
            # Keys are not taken at all.
            self._partial = "no key"
            return ""
        except paramiko.AuthenticationException as problem:
            self._refused.append(key.label)
            if not self._line.is_active():
                raise self._hung_up() from problem
            return ""
        self._partial = key.label if wanted else ""
        return "" if wanted else key.label

    def password(self) -> str:
        """Try the password, after a key was not enough, or none was taken."""
        end = self._end
        if end.password is None:
            raise self._refusal()
        try:
            left = self._line.auth_password(end.user, end.password)
        except paramiko.BadAuthenticationType as problem:
            what = f"the host takes no password of {end.user}, only {', '.join(problem.allowed_types)}"
            raise UnreachableError(what, where=end.where, hint="name a key: ansible_ssh_private_key_file") from problem
        except paramiko.AuthenticationException as problem:
            what = f"the host refused {end.user}'s password"
            raise UnreachableError(what, where=end.where, hint="correct ansible_password") from problem
        if left:
            what = f"the host wants more of {end.user} than key and password: {', '.join(left)}"
            raise UnreachableError(what, where=end.where, hint="let that user in with a key alone")
        return "the password"

    def _refusal(self) -> UnreachableError:
        user, unusable = self._end.user, "; ".join(self._unusable)
        if self._partial:
            what = f"{self._partial} is not enough for the host: it wants a password of {user}"
            return UnreachableError(what, where=self._end.where, hint="set ansible_password")
        if not self._refused and self._unusable:
            hint = "name another key in ansible_ssh_private_key_file, or load it into ssh-agent"
            return UnreachableError(f"the key {unusable}", where=self._end.where, hint=hint)
        if not self._refused:
            hint = "set ansible_ssh_private_key_file, start ssh-agent and ssh-add a key, or set ansible_password"
            return UnreachableError(f"there is no key to log in with as {user}", where=self._end.where, hint=hint)
        count = f"{len(self._refused)} keys" if len(self._refused) > 1 else "key"
        tried = ", ".join((*self._refused, *([f"not {unusable}"] if unusable else [])))
        hint = f"tried {tried}; see: ssh -v{self._end.command.removeprefix('ssh')}"
        return UnreachableError(f"the host refused {user}'s {count}", where=self._end.where, hint=hint)

    def _hung_up(self) -> UnreachableError:
        if self._line.gave_up:
            return UnreachableError(
                f"no answer within {self._end.timeout} s", where=self._end.where, hint="is the host up?"
            )
        what = f"the host hung up after {len(self._refused)} keys of {self._end.user}"
        hint = f"sshd takes {DEFAULT_TRIES} by default: name the right one in ansible_ssh_private_key_file"
        return UnreachableError(what, where=self._end.where, hint=hint)
