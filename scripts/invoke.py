"""`invoke` as pip installs it, without what makes each command wait for nothing; setup.sh puts it into .venv/bin."""

import gc

# As in tasks.py, but before the first import.
gc.disable()

import atexit
import os
import signal
import sys
import threading
from pathlib import Path
from types import ModuleType


def interrupted(*_: object) -> None:
    """What Ctrl-C means until a verb begins, which has more to say."""
    os.write(2, b"\ninterrupted, and no host was contacted\n")
    os._exit(130)


if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, interrupted)

# Of streams that were closed (`>&-`) Python makes None, and the next file that is opened would take their place.
sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115 - open until the process ends
sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115

import yaml

# The same library as the copy that invoke brings, and one of them is needed anyway.
sys.modules["invoke.vendor.yaml"] = yaml
# invoke wants it for MockContext alone, which no command makes; it brings asyncio and the rest of unittest.
mock = ModuleType("unittest.mock")
mock.Mock = object  # type: ignore[attr-defined]
sys.modules[mock.__name__] = mock

from invoke.main import program

# Whoever asks for it from here on gets the real one.
del sys.modules[mock.__name__]


def leave(code: int) -> None:
    """End the process at once: Python would take every module apart first, which takes 20 ms."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    try:
        program.run()
    except SystemExit as stop:
        if type(stop.code) is not int or any(not thread.daemon for thread in threading.enumerate()[1:]):
            raise
        leave(stop.code)
    except BrokenPipeError:
        # Of `invoke --list | head`; verbs see to it themselves.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    leave(0)
