"""What the symptoms of a failure most likely mean, and what to do about it: a table, and the reading of it."""

from __future__ import annotations

import re
from typing import NamedTuple, Tuple


class Cause(NamedTuple):
    """A pattern over the symptoms, what they mean, what to do, and the command to look with (else: read the log)."""

    pattern: str
    words: str
    remedy: str
    look: str = ""


LESS_MEMORY = "raise app_memory_max, or let the app and its gunicorn_workers use less"
WRITABLE = "write below /srv/<app>/shared, or name the folder in systemd_writable"
MEND = "mend the app and deploy again"
ROOM = "make room and deploy again"
# The first that fits wins. Symptoms are lines "NAME: VALUE", in the order in which `explain.symptoms` has them. An
# exception is "said" if it ended the app or the request, and else only "heard": then it need not be the cause.
CAUSES: Tuple[Cause, ...] = (
    Cause(r"^probe: 404 (.+)", r"\1 answers 404: the app has no such page", "correct app_health, or add that page"),
    Cause(
        r"^probe: (401|403|407) (.+)",
        r"\2 answers \1: the app probably wants a login there",
        "let it answer on app_health without one",
    ),
    Cause(
        r"^probe: (400|421) (.+)",
        r"\2 answers \1: it probably refuses the host name `localhost`, by which it is asked",
        "let the app accept that name (Django: ALLOWED_HOSTS)",
    ),
    Cause(r"^probe: ([1-4]\d\d) (.+)", r"\2 answers \1", "200 to 399 is healthy: correct app_health, or the app"),
    Cause(r"^full: (.+)", r"no room is left on \1", ROOM, "df -h; df -i"),
    Cause(
        r"^said: .*(No space left on device|Disk quota exceeded|database or disk is full)",
        r"it cannot write: \1",
        ROOM,
        "df -h; df -i",
    ),
    Cause(r"^memory: killed at (.+)", r"the kernel killed it at its limit of \1 of memory", LESS_MEMORY),
    Cause(
        r"^memory: killed",
        "the kernel killed it, because the host ran out of memory",
        "free memory on the host, or have fewer gunicorn_workers",
        "free -m",
    ),
    Cause(r"^memory: suspect at (.+)", r"it was killed, probably at its limit of \1 of memory", LESS_MEMORY),
    Cause(
        r"^unit: .*\(timeout\)(?s:.*)^patience: (.+)",
        r"it had not finished importing after \1",
        "let it do less while it starts, or raise app_start_timeout",
    ),
    Cause(
        r"^waits: (.+)(?s:.*)^probe: .*nothing within (.+)",
        r"no answer within \2: it probably waits for a connection to \1",
        "see that something listens there, and that no firewall is in between",
    ),
    Cause(
        r"^probe: .*nothing within (.+)$(?!(?s:.*)^log: Worker \(pid)(?!(?s:.*)^log: WORKER TIMEOUT)",
        r"no answer within \1: it starts slowly, or waits for something, such as a database",
        "find what it waits for; if it only needs longer, raise app_start_timeout",
    ),
    Cause(
        r"^said: (\w*SyntaxError|IndentationError|TabError)\b(?s:.*)^place: (.+)",
        r"\1 in \2",
        "mend the code; if it is right for a newer Python than the host's, set app_python",
    ),
    Cause(
        r"^wsgi: (?=(\w+))([\w.]+)(?s:.*)^said: ModuleNotFoundError: No module named '(?:\1|\2)'",
        r"app_wsgi names the module \2, which is not in the app",
        "correct app_wsgi, or what app_source, app_include and app_exclude let travel",
    ),
    Cause(
        r"^log: .*python[\d.]*: No module named (\w+)",
        r"the server \1 is not installed",
        r"name \1 in app_requirements",
    ),
    Cause(
        r"^said: ModuleNotFoundError: No module named '(.+?)'",
        r"the module \1 is not installed",
        "name its package in app_requirements, or see that app_exclude does not leave the file out",
    ),
    Cause(
        r"^said: .*AppImportError: Failed to find attribute '(.+?)' in '(.+?)'",
        r"app_wsgi names \1, which is not in the module \2",
        "correct app_wsgi",
    ),
    Cause(r"^said: .*WsgiNameError: (.+)", r"\1", "correct app_wsgi"),
    Cause(r"^said: .*AppImportError: (.+)", r"app_wsgi does not lead to an app: \1", "correct app_wsgi"),
    Cause(
        r"^said: ImportError: cannot import name '(.+?)' from (?:partially initialized module )?'(.+?)'",
        r"the module \2 has no \1: probably another version than the app wants, or modules that import each other",
        "pin the version in app_requirements, or untangle the imports",
    ),
    Cause(
        r"^said: .*?(\S+\.so\S*): cannot open shared object file",
        r"the system library \1 is missing",
        "install the host's package that has it",
        "ldconfig -p",
    ),
    Cause(
        r"^frame: .*\bos(?:\.py)?>?\", line \d+, in __getitem__(?s:.*)^said: KeyError: '(.+)'",
        r"the environment variable \1 is not set",
        "set it in app_environment or the app_secrets_file",
    ),
    Cause(
        r"^said: .*Read-only file system: '(.+)'",
        r"it writes to \1, which its sandbox keeps read-only",
        WRITABLE,
    ),
    Cause(
        r"^said: .*(unable to open database file|attempt to write a readonly database|Read-only file system)",
        "it probably writes where its sandbox is read-only",
        WRITABLE,
    ),
    Cause(
        r"^said: PermissionError: \[Errno 13\] .*: '(.+)'",
        r"its user may not open \1",
        "change the owner or the mode on the host, or what the app opens",
        r"namei -l \1",
    ),
    Cause(
        r"^said: PermissionError: \[Errno 1\]",
        "it probably asks for what its sandbox forbids, such as another owner of a file, or executable memory",
        "do without it, or do it once as root on the host",
    ),
    Cause(
        r"^said: .*Address already in use",
        "it opens a port of its own, which another program has",
        "let app_listen be the only one, or choose another",
        "ss -ltnp",
    ),
    Cause(
        r"^said: .*(Connection refused|timed out|[Nn]ame or service not known|Temporary failure in name resolution|"
        r"No route to host|Network is unreachable)",
        r"it cannot reach what it connects to: \1",
        "see that this runs, and that the host reaches it",
    ),
    Cause(r"^said: .*Too many open files", "it opens too many files", "raise app_open_files"),
    Cause(
        r"^said: (RuntimeError: can't start new thread|BlockingIOError: \[Errno 11\])",
        "it has as many processes and threads as it may",
        "raise app_tasks_max",
    ),
    Cause(r"^said: MemoryError", "it asks for more memory than there is", LESS_MEMORY),
    Cause(
        r"^log: .*Failed to set up mount namespacing: /run/systemd/unit-root(\S+): No such file",
        r"systemd cannot make its sandbox: there is no \1",
        "make that folder on the host, or correct systemd_writable",
    ),
    Cause(
        r"^unit: .*exit status 203",
        "systemd cannot start the Python of its venv",
        "see whether the host's Python was changed or removed",
    ),
    Cause(
        r"^unit: .*exit status (2[0-4]\d)",
        r"systemd cannot set up what its unit asks for (\1, see `man systemd.exec`)",
        "correct the systemd_* settings",
    ),
    Cause(r"^unit: .*\(resources\)", "systemd cannot read what its unit names", "deploy again"),
    Cause(
        r"^unit: .*killed by SIG(SEGV|BUS|ILL|ABRT|FPE)",
        r"a compiled extension probably crashed it (SIG\1)",
        "try other versions of the packages with C code; SIGILL means that they are for another processor",
    ),
    Cause(r"^probe: 500 (.+)(?s:.*)^said: ([\w.]+)(?s:.*)^place: (.+)", r"\1 answers 500: \2 in \3", MEND),
    Cause(r"^probe: 500 (.+)(?s:.*)^said: ([\w.]+)", r"\1 answers 500: \2", MEND),
    Cause(
        r"^probe: (5\d\d) (.+)",
        r"\2 answers \1: the app itself says that it is not well",
        "see what it depends on, such as its database",
    ),
    Cause(
        r"^log: WORKER TIMEOUT",
        "a worker was stuck for so long that gunicorn killed it",
        "find what it waits for, or raise gunicorn_timeout",
    ),
    Cause(
        r"^log: Worker \(pid:\d+\) (exited with code \d+|was sent SIG\w+)",
        r"a worker died: it \1",
        "see what the app does when a worker starts, and on app_health",
    ),
    Cause(r"^said: ([\w.]+)(?s:.*)^place: (.+)", r"\1 in \2", MEND),
    Cause(r"^said: ([\w.]+)", r"\1", MEND),
    Cause(r"^heard: ([\w.]+)(?s:.*)^place: (.+)", r"probably \1 in \2", MEND),
    Cause(
        r"^log: .*Main process exited, (code=.+)",
        r"its main process died (\1)",
        "see what it did before",
    ),
    Cause(
        r"^unit: .*start-limit-hit",
        "it crashed so often that systemd gave it up",
        "see what it said before it died",
    ),
    Cause(
        r"^unit: .*exit status 1\b(?s:.*)^log: Error: ",
        "gunicorn refused to start it, for the reason above",
        MEND,
    ),
    Cause(
        r"^unit: .*exit status (\d+)",
        r"it ended itself with exit status \1",
        "look for an exit in the code that is imported",
    ),
)
# Honest where nothing fits.
UNKNOWN = Cause("", "", "these facts fit no known cause")


def likely(symptoms: str) -> Cause:
    """The first cause that fits, with what the symptoms say filled in."""
    for cause in CAUSES:
        found = re.search(cause.pattern, symptoms, re.MULTILINE)
        if found:
            return Cause(cause.pattern, *(found.expand(words) for words in cause[1:]))
    return UNKNOWN
