"""How a login becomes root: the sh script around a program, and the exit codes with which it says why not."""

from __future__ import annotations

import shlex

NO_SUDO, NO_PYTHON, SUDO_MISSING = 77, 78, 79

# With requiretty sudo asks for a controlling terminal, though not to read from. So it gets one that is idle, and the
# program's stdin and stdout stay what they are.
TERMINAL = """
import fcntl,os,pty,sys,termios
m,s=pty.openpty()
c=os.fork()
if not c:
 os.setsid()
 fcntl.ioctl(s,termios.TIOCSCTTY,0)
 os.execvp(sys.argv[1],sys.argv[1:])
r=os.waitpid(c,0)[1]
os._exit(os.WEXITSTATUS(r) if os.WIFEXITED(r) else 99)
"""
# The only words of sudo that are read, in its own language, and only to see whether there is another way.
WHY_NOT = "LC_ALL=C sudo -n true 2>&1"
WANTS_TERMINAL = '*"must have a tty"*'


READY = "carboy-ready"
"""What the script says, where there is a password, once the program is about to read its stdin."""


def as_root(program: list[str], *, become: bool, asks: bool, python: str = "python3") -> str:
    """The sh script that runs `program` as root; 77, 78, 79: sudo refuses, no such program, no sudo.

    With `asks` its stdin begins with the password, twice: for the question whether it is right, and for sudo itself.
    The program's own stdin must wait for `READY`: sudo-rs reads on behind the password, and forgets what it has read.
    """
    found = f"command -v {shlex.quote(program[0])} >/dev/null || exit {NO_PYTHON}; "
    run = shlex.join(program)
    plain = f"IFS= read -r p; IFS= read -r p; echo {READY}; exec {run}" if asks else f"exec {run}"
    if not become:
        return found + plain
    root = f'{found}if [ "$(id -u)" = 0 ]; then {plain}; fi; '
    there = f"command -v sudo >/dev/null || exit {SUDO_MISSING}; "
    terminal = f"{shlex.quote(python)} -I -S -c {shlex.quote(TERMINAL)}"
    return root + there + (_asked(run, terminal) if asks else _free(run, terminal))


def _free(run: str, terminal: str) -> str:
    """The question whether sudo works costs a process, so it is only asked when the program failed to start."""
    other = f"{terminal} sudo -n true 2>/dev/null && exec {terminal} sudo -n {run}"
    why = f"w=$({WHY_NOT}) || case $w in {WANTS_TERMINAL}) {other};; esac"
    return f"sudo -n {run}; s=$?; [ $s = 0 ] || {{ {why}; {WHY_NOT} >/dev/null || exit {NO_SUDO}; }}; exit $s"


def _asked(run: str, terminal: str) -> str:
    """A wrong password is found by itself: at the end of its stdin sudo cannot try again, after 2 s each time."""
    other = f't() {{ {terminal} "$@"; }}; t sudo -n true 2>/dev/null'
    free = f"w=$({WHY_NOT}) || case $w in {WANTS_TERMINAL}) {other};; *) false;; esac"
    right = f"""printf '%s\\n' "$p" | t sudo -S -k -p '' true >/dev/null 2>&1 || exit {NO_SUDO}; p="""
    begin = f"""sh -c 'echo {READY}; exec "$@"' sh {run}"""
    return (
        f't() {{ "$@"; }}; IFS= read -r p; if {free}; then IFS= read -r p; echo {READY}; t sudo -n {run}; exit; fi; '
        f"{right}; t sudo -S -k -p '' {begin}"
    )
