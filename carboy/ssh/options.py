"""ssh's command line options as Ansible's variables hold them: those that mean something here, and no others."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

COUNTED = [
    "addressfamily",
    "bindaddress",
    "casignaturealgorithms",
    "certificatefile",
    "connecttimeout",
    "globalknownhostsfile",
    "hostkeyalgorithms",
    "hostkeyalias",
    "hostname",
    "identitiesonly",
    "identityagent",
    "identityfile",
    "port",
    "proxycommand",
    "proxyjump",
    "pubkeyauthentication",
    "requiredrsasize",
    "stricthostkeychecking",
    "user",
    "userknownhostsfile",
]
HARMLESS = [
    "batchmode",
    "ciphers",
    "compression",
    "controlmaster",
    "controlpath",
    "controlpersist",
    "forwardagent",
    "gssapiauthentication",
    "hashknownhosts",
    "kbdinteractiveauthentication",
    "kexalgorithms",
    "loglevel",
    "macs",
    "numberofpasswordprompts",
    "passwordauthentication",
    "preferredauthentications",
    "pubkeyacceptedalgorithms",
    "serveralivecountmax",
    "serveraliveinterval",
    "tcpkeepalive",
    "updatehostkeys",
]
"""What Carboy has its own way for, or no use: to leave it out weakens nothing."""
VALUED = "JFilpbo"
BARE = "46aACkKqTvxX"


def words(text: str) -> tuple[str, ...]:
    """The options in a text, each with its value in the next word; raises ValueError for what Carboy does not do."""
    try:
        waiting = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"cannot be taken apart into words: {error}") from error
    return tuple(_options(waiting))


def _options(waiting: list[str]) -> Iterator[str]:
    while waiting:
        word = waiting.pop(0)
        flag, rest = word[1:2], word[2:]
        if word.startswith("-") and flag and flag in VALUED:
            if not rest and not waiting:
                raise ValueError(f"ends with {word}, which wants a value")
            yield from (f"-{flag}", _checked(flag, rest or waiting.pop(0)))
        elif not word.startswith("-") or not flag or set(word[1:]) - set(BARE):
            raise ValueError(f"has {word!r}, which Carboy does not do")
        else:
            yield word


def _checked(flag: str, value: str) -> str:
    if flag == "o":
        name = value.replace("=", " ").split()[:1]
        if not name or name[0].lower() not in (*COUNTED, *HARMLESS):
            raise ValueError(f"has -o {value!r}, which Carboy does not do")
    return value
