"""The frame around every verb of `tasks.py`: common options, errors in three lines, exit codes."""

from __future__ import annotations

import functools
import inspect
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from invoke import Context, Exit, Task

from carboy.console import Console
from carboy.declaration import Declaration, declare
from carboy.errors import CarboyError, DeclarationError, fault
from carboy.fleet import record
from carboy.fleet.run import DEFAULT_FORKS, Run
from carboy.fleet.saved import Saved, read
from carboy.inventory import Host, Inventory, load, parse_extra
from carboy.inventory.passwords import named
from carboy.inventory.vault import KEYRING
from carboy.project import ROOT, STATE
from carboy.ssh import prompt

INVENTORY = ROOT / "inventory"
SANDBOX_INVENTORY = STATE / "inventory"
SANDBOX = "sandbox"
SHORT = {"extra": "e", "inventory": "i", "follow": "f"}
COMMON: dict[str, tuple[Any, str]] = {
    "host": ([], f"host, group or pattern, repeatable or comma-separated (default: {SANDBOX})"),
    "extra": ([], "a variable as key=value, or @file.yml; wins over the inventory"),
    "inventory": ([], "an inventory file or folder, or hosts as in web1,web2, (default: inventory/)"),
    "vault_password_file": ([], "a file or program with a password of Ansible Vault, repeatable"),
    "vault_id": ([], "such a password by its label, repeatable: LABEL@FILE or LABEL@prompt"),
    "ask_vault_pass": (False, "ask for the password of Ansible Vault, if something needs it"),
    "forks": (DEFAULT_FORKS, "how many hosts at once"),
    "failed": (False, "only the hosts that the last deploy (or rollback, verify, maintenance, for that verb) left"),
    "json": (False, "events as one JSON object a line on stdout"),
    "debug": (False, "tracebacks of errors"),
}


class Control:
    """What a verb works with: the hosts that were named, and one run over them."""

    def __init__(self, verb: str, options: dict[str, Any], *, check: bool = False) -> None:
        self.names: Sequence[str] = options["host"]
        self.failed: bool = options["failed"]
        self.sources = [Path(name) for name in options["inventory"]] or _default_sources()
        self.extra: Sequence[str] = options["extra"]
        files, ids, ask = (options[name] for name in ("vault_password_file", "vault_id", "ask_vault_pass"))
        KEYRING.passwords = named(files, ids, ask=ask, environment=os.environ)
        self.console = Console(machine=options["json"], check=check)
        prompt.aside = self.console.aside
        given = "".join(f" -i {shlex.quote(name)}" for name in options["inventory"])
        forks = _forks(options["forks"])
        self.run = Run(self.console, verb, check=check, inventory=self.sources, given=given, forks=forks)

    @functools.cached_property
    def inventory(self) -> Inventory:
        """The inventory with the variables of the command line."""
        return load(self.sources, parse_extra(self.extra))

    @functools.cached_property
    def hosts(self) -> tuple[Host, ...]:
        """The hosts that were named; raises `DeclarationError` for the sandbox where there is none yet."""
        left = record.latest(self.run.verb, self.run.inventory).left if self.failed else []
        hosts = self.inventory.select(self.names or left or [SANDBOX]) if left or not self.failed else ()
        hosts = tuple(host for host in hosts if host.name in left or not self.failed)
        if not hosts:
            raise Exit("no host is left of the last run", code=0)
        if any(host.name == SANDBOX and "ansible_host" not in host.variables for host in hosts):
            hint = "start it with: invoke sandbox.up; or name another host with --host"
            raise DeclarationError("the sandbox is not up", where=f"host {SANDBOX}", hint=hint)
        return hosts

    def declared(self) -> list[Declaration]:
        """What is declared of each host; everything wrong is found before any host is contacted."""
        return [declare(host) for host in self.hosts]

    def saved(self, path: str | None) -> Saved | None:
        """The plan in a file, if one is named; its hosts are meant where none are."""
        if not path:
            return None
        found = read(Path(path))
        self.names = self.names or [*found.hosts]
        return found

    def carry(self, body: Callable[..., None], given: dict[str, Any]) -> None:
        """Do what the verb does, and tell how it ended."""
        try:
            body(self, **given)
            self.run.finish()
        except KeyboardInterrupt as stop:
            # Only the run knows how far the hosts have come.
            raise KeyboardInterrupt(self.run.advice) from stop


def _forks(text: str) -> int:
    number = _number("forks", text)
    if number < 1:
        raise DeclarationError(f"--forks {number} is no number of hosts", hint="write 1 or more")
    return number


def _refuse_empty(given: dict[str, Any]) -> None:
    """Raise `DeclarationError` for an option without its text: most likely a variable of a script that is not set."""
    for name, value in given.items():
        if value == "":
            hint = "name what is meant, or leave the option out"
            raise DeclarationError(f"--{name.replace('_', '-')} is given and says nothing", hint=hint)


def _refuse_silent(words: Sequence[str]) -> None:
    """The same of an option that can be repeated, which invoke takes for one that was not given."""
    repeated = {flag for name, (default, _) in COMMON.items() if default == [] for flag in _flags(name)}
    for word, following in zip(words, [*words[1:], "-"], strict=True):
        if word in repeated and following.startswith("-"):
            raise DeclarationError(f"{word} is given and says nothing", hint="name what is meant, or leave it out")


def _flags(name: str) -> list[str]:
    return [f"--{name.replace('_', '-')}", *([f"-{SHORT[name]}"] if name in SHORT else [])]


def _default_sources() -> list[Path]:
    return [INVENTORY, *([SANDBOX_INVENTORY] if SANDBOX_INVENTORY.exists() else [])]


class Verb(Task[Any]):
    """A task whose short flags are given, not guessed."""

    def arg_opts(self, name: str, default: Any, taken_names: set[str]) -> dict[str, Any]:
        """Invoke's description of one option."""
        options: dict[str, Any] = super().arg_opts(name, default, taken_names)
        dashed = name.replace("_", "-")
        return {**options, "names": (dashed, SHORT[name]) if name in SHORT else (dashed,)}


def verb(**help: str) -> Callable[[Callable[..., None]], Verb]:
    """Make a task of a function that takes a `Control` and its own options; `help` describes these."""

    def decorate(body: Callable[..., None]) -> Verb:
        own = list(inspect.signature(body).parameters.values())[1:]

        @functools.wraps(body)
        def task(context: Context, **options: Any) -> None:  # noqa: ARG001 - invoke's form
            given = {parameter.name: options.pop(parameter.name) for parameter in own}
            _hear_interrupts()
            with _exits(debug=options["debug"], machine=options["json"]):
                given |= {each.name: _number(each.name, given[each.name]) for each in own if _counts(each)}
                _refuse_empty(given)
                _refuse_silent(sys.argv[1:])
                control = Control(body.__name__, options, check=given.get("check", body.__name__ == "plan"))
                with control.console:
                    control.carry(body, given)
            if control.run.code:
                raise Exit(code=control.run.code)

        task.__signature__ = _signature(own)  # type: ignore[attr-defined]
        texts = {**{name: text for name, (_, text) in COMMON.items()}, **help}
        repeated = [name for name, (default, _) in COMMON.items() if default == []]
        return Verb(task, name=body.__name__, help=texts, iterable=repeated)

    return decorate


def _hear_interrupts() -> None:
    """Let Ctrl-C interrupt the verb, unless it is ignored: until now the launcher saw to it."""
    if callable(signal.getsignal(signal.SIGINT)) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _signature(own: list[inspect.Parameter]) -> inspect.Signature:
    kind = inspect.Parameter.KEYWORD_ONLY
    common = [inspect.Parameter(name, kind, default=default) for name, (default, _) in COMMON.items()]
    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    # Numbers as text: one that is none would end in a traceback of invoke's.
    told = [each.replace(default=str(each.default)) if _counts(each) else each for each in (*own, *common)]
    return inspect.Signature([context, *(each.replace(kind=kind) for each in told)])


def _counts(parameter: inspect.Parameter) -> bool:
    return type(parameter.default) is int


def _number(option: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise DeclarationError(f"--{option} {text} is no whole number", hint=f"write it as in --{option} 30")
    return int(text)


@contextmanager
def _exits(*, debug: bool, machine: bool) -> Iterator[None]:
    """Turn every end of a verb into its exit code and, unless tracebacks are wanted, into a few lines."""
    try:
        yield
    except Exit:
        raise
    except BrokenPipeError:
        # The reader of our output is gone, which is its right.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise Exit(code=0) from None
    except KeyboardInterrupt as stop:
        raise Exit(f"\ninterrupted\nnext:  {stop}" if str(stop) else None, code=130) from None
    except Exception as problem:
        if debug:
            raise
        error = problem if isinstance(problem, CarboyError) else fault(problem)
        for form in {False, machine}:
            Console(machine=form).error(None, error)
        raise Exit(code=error.exit_code) from problem
