"""The container that serves: the one that was chosen, of the right image, with no more rights than declared."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from testinfra.host import Host

from carboy.verify import judge
from carboy.verify.target import Target

SETTLE_SECONDS = 30
PAUSE_SECONDS = 0.5
Look = Callable[[], dict[str, Any]]


def test_one_container_serves(target: Target, container: Look) -> None:
    """Exactly one container of the app runs, it is healthy, and the next boot starts it again."""
    labels = (f"label=carboy.app={target.app.name}", "label=carboy.release")
    running = target.output("docker ps --filter %s --filter %s --format '{{.Names}}'", *labels).split()
    found = _settled(container)
    judge.same({"running": running}, {"running": [found["Name"].lstrip("/")]}, target.app.name, target.repair)
    state = {"health": found["State"]["Health"]["Status"], "restart": found["HostConfig"]["RestartPolicy"]["Name"]}
    judge.same(state, {"health": "healthy", "restart": "unless-stopped"}, found["Name"], f"docker logs {running[0]}")


def _settled(container: Look) -> dict[str, Any]:
    """The container once its health was checked, which the engine does a while after each start."""
    until = time.monotonic() + SETTLE_SECONDS
    while (found := container())["State"]["Health"]["Status"] == "starting" and time.monotonic() < until:
        time.sleep(PAUSE_SECONDS)
    return found


def test_chosen(target: Target) -> None:
    """The release that was chosen is the one that `current` points to."""
    chosen = target.output("readlink %s", f"{target.app.home}/serving").rpartition("/")[2]
    judge.same({"chosen": chosen}, {"chosen": target.release}, target.app.home, target.repair)


def test_image(target: Target, container: Look) -> None:
    """It runs the very image that the release was built with, and the app's tag still leads to that."""
    record = json.loads(target.text(f"{target.folder}/release.json"))
    tagged = target.output("docker image inspect --format '{{.Id}}' %s", record["reference"])
    found = {"container": container()["Image"], record["reference"]: tagged}
    judge.same(found, dict.fromkeys(found, record["image"]), "image", target.repair)


def test_user(host: Host, target: Target, container: Look) -> None:
    """It runs as the app's own user of the host, which is not root."""
    user = host.user(target.app.name)
    judge.holds(user.exists and user.uid, f"there is no user {target.app.name}", target.repair)
    judge.same({"user": container()["Config"]["User"]}, {"user": f"{user.uid}:{user.gid}"}, "container", target.repair)


def test_rights(target: Target, container: Look) -> None:
    """Its file system is read-only, it has no capability, and can get no further rights."""
    kept = container()["HostConfig"]
    wanted = {"ReadonlyRootfs": True, "CapDrop": ["ALL"], "Privileged": False, "CapAdd": None}
    judge.same(kept, wanted, "container", target.repair)
    judge.holds("no-new-privileges=true" in kept["SecurityOpt"], "it may get new privileges", target.repair)
    status = target.text(f"/proc/{container()['State']['Pid']}/status")
    rights = dict(line.split(":\t", 1) for line in status.splitlines())
    judge.same(rights, {"CapEff": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1"}, "main process", target.repair)


def test_limits(target: Target, container: Look) -> None:
    """Memory, processor, processes and files are limited as declared."""
    kept, app = container()["HostConfig"], target.app
    found = {name: kept[name] for name in ("Memory", "NanoCpus", "PidsLimit")}
    wanted = {"Memory": int(app.memory_max or 0), "NanoCpus": int((app.cpus or 0) * 1e9), "PidsLimit": app.tasks_max}
    judge.same(found, wanted, "container", target.repair)
    limits = target.text(f"/proc/{container()['State']['Pid']}/limits")
    [files] = [line.split()[3:5] for line in limits.splitlines() if line.startswith("Max open files")]
    judge.same({"open files": files}, {"open files": [str(app.open_files)] * 2}, "main process", target.repair)


def test_health_check(target: Target, container: Look) -> None:
    """The image's own health check says that the app is well."""
    found = container()
    check = found["Config"]["Healthcheck"]["Test"][1:]
    words = ["docker", "exec", found["Name"].lstrip("/"), *check]
    target.output(" ".join(["%s"] * len(words)), *words)


def test_no_secret_in_the_engine(target: Target, container: Look) -> None:
    """Nothing of the environment that was declared stands in what the engine shows to whoever may ask it."""
    names = [line.partition("=")[0] for line in target.text(f"{target.folder}/environment").splitlines()]
    shown = {entry.partition("=")[0] for entry in container()["Config"]["Env"]}
    judge.none(sorted(shown & set(names)), "the engine shows variables of the app", target.repair)
    kept = target.output("stat --format='%%U %%a' %s", f"{target.folder}/environment")
    judge.same({"owner and mode": kept}, {"owner and mode": f"{target.app.name} 400"}, "environment", target.repair)
    files = "find %s -path '*/secrets/*' ! \\( -user root -group %s -perm 0440 \\)"
    open_files = target.output(files, f"{target.app.home}/releases", target.app.name).splitlines()
    judge.none(open_files, "secrets that are not the app's alone", "change these secrets")


def test_rotation(target: Target) -> None:
    """A rotation under requests loses no line of the access log, and writes none twice."""
    log, config = f"{target.app.logs}/access.log", f"/etc/logrotate.d/{target.app.name}"
    found = target.ask("disturb.rotation", target.app.listen, target.app.health, config, log)
    judge.same(found, {"exit": 0, "rotated": True, "lost": [], "twice": []}, config, found["said"] or target.repair)
