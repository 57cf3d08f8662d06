"""The instance that serves: the one that was chosen, well, kept, and of one piece."""

from __future__ import annotations

from carboy.verify import judge
from carboy.verify.target import Target
from tests.verify.cron.conftest import Watched


def test_one_release_serves(target: Target) -> None:
    """Exactly one release runs, and it is the one that `current` points to."""
    listed = target.output("ls %s", f"/run/carboy/{target.app.name}").split()
    running = [name[: -len(".pid")] for name in listed if name.endswith(".pid")]
    wanted = [target.folder.rpartition("/")[2]]
    judge.same({"running": running}, {"running": wanted}, f"releases of {target.app.name}", target.repair)


def test_cron_looks_after_that_release(target: Target, watched: Watched) -> None:
    """The next check and the next boot would start that same release."""
    chosen = target.output("readlink -f %s", watched.control)
    judge.same({"script": chosen}, {"script": f"{target.folder}/cron/control"}, watched.control, target.repair)


def test_status(target: Target, watched: Watched) -> None:
    """The control script finds it well."""
    said = target.output("%s status", watched.control)
    judge.holds(" serves: " in said, said, target.repair)


def test_the_socket_is_kept(target: Target, watched: Watched) -> None:
    """The declared address is listening, and the keeper holds it, whatever becomes of the app."""
    kind = "-x" if target.app.listen.startswith("/") else "-t"
    rows = target.output(f"ss --no-header --listening --numeric --processes {kind}").splitlines()
    address = target.app.listen if ":" in target.app.listen or kind == "-x" else f"*:{target.app.listen}"
    mine = [row for row in rows if address in row.split()]
    judge.holds(mine, f"nothing listens on {target.app.listen}", f"{watched.control} start")
    keeper = target.ask("watchdog.instance", watched.record)["keeper"]
    judge.holds(
        f"pid={keeper}," in " ".join(mine), f"no keeper holds {target.app.listen}", f"{watched.control} restart"
    )


def test_processes(target: Target, watched: Watched) -> None:
    """Release id, interpreter, packages and folder of each process are those of the release."""
    findings = target.ask("coherence.findings", target.app.home, target.folder.rpartition("/")[2], watched.record)
    judge.none(findings, "not of one release", f"{target.repair}, or on the host: {watched.control} restart")
