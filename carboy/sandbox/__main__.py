"""What the Makefile needs before there are verbs: `python -m carboy.sandbox image|clean|next`."""

from __future__ import annotations

import sys

from carboy.errors import CarboyError
from carboy.sandbox import STATE, build, clean, files

NEXT = """
The app answers on {url}

What to type next:
  . .venv/bin/activate
  invoke deploy                         again: nothing to change
  invoke rollback                       back to the release before
  invoke verify                         look at the host as a careful person would
  ssh -F .carboy/ssh_config sandbox     look around on the host yourself
  invoke sandbox.down                   remove it
"""


def main(arguments: list[str]) -> int:
    """Build the host image, remove this checkout's containers, or say what to do next; returns the exit code."""
    try:
        return _run(arguments)
    except CarboyError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def _run(arguments: list[str]) -> int:
    match arguments:
        case ["image"]:
            build(progress=print)
        case ["clean"]:
            print("\n".join(f"removed {name}" for name in clean()) or "no containers to remove")
        case ["next"]:
            print(NEXT.format(url=files.hosts(STATE)["sandbox"]["sandbox_url"]))
        case _:
            print(__doc__, file=sys.stderr)
            return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
