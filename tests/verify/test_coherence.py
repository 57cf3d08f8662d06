"""Every process of the app runs the code, the packages and the environment of one and the same release."""

from __future__ import annotations

from carboy.verify import judge
from carboy.verify.target import Target


def test_processes(target: Target) -> None:
    """Folder, interpreter, packages and environment of each process are those of the release."""
    venv = target.output("readlink -f %s", f"{target.folder}/venv")
    wanted = {
        "folder": f"{target.folder}/tree",
        "interpreter": f"{target.folder}/venv/bin/python",
        "release": target.folder.rpartition("/")[2],
        "foreign": [],
    }
    processes = target.ask("look.processes", target.unit)
    judge.holds(len(processes) > 1, f"{target.unit} has {len(processes)} processes, not a main one and workers")
    for process in processes:
        foreign = [file for file in process["files"] if not file.startswith((venv, target.folder))]
        found = {"folder": process["cwd"], "interpreter": process["argv"][0], "release": process["release"]}
        judge.same(
            {**found, "foreign": foreign}, wanted, f"process {process['pid']}", f"systemctl restart '{target.unit}'"
        )
