"""What the app is run by on the host, and what stands before it."""

from __future__ import annotations

import shutil
from typing import Iterator

from carboy.applier.checkup.finding import FAILED, WARNING, Finding, well
from carboy.applier.host import ENVIRONMENT, Host

OLDEST_SYSTEMD = 247


def runtime(host: Host) -> Iterator[Finding]:
    """What runs the app, as it is declared; systemd where nothing is."""
    checks = {"cron": _cron, "compose": _compose, "kubernetes": _kubernetes}
    return checks.get(host.args["runtime"], _systemd)(host)


def _systemd(host: Host) -> Iterator[Finding]:
    if not host.at("/run/systemd/system").exists():
        hint = "declare app_runtime: cron (or compose) for this host"
        yield Finding(FAILED, "this host does not run systemd", hint)
        return
    version = host.run("systemctl", "--version").split()[1]
    state = host.call("systemctl", "is-system-running").stdout.strip()
    text = "systemd %s, %s" % (version, state)
    if int("".join(filter(str.isdigit, version.partition(".")[0])) or 0) < OLDEST_SYSTEMD:
        yield Finding(FAILED, text, "%d or newer is needed: Debian 11, Ubuntu 22.04" % OLDEST_SYSTEMD)
    elif state in ("running", "degraded"):
        units = host.call("systemctl", "list-units", "--failed", "--plain", "--no-legend").stdout.splitlines()
        failed = ", ".join(line.split()[0] for line in units if line)
        yield Finding(WARNING, "%s: %s" % (text, failed), "see: systemctl status %s" % failed) if failed else well(text)
    else:
        yield Finding(WARNING, text, "the host is still starting, or going down: see systemctl list-jobs")


def _cron(host: Host) -> Iterator[Finding]:
    names = ("cron", "crond")
    running = [path for path in host.at("/proc").glob("[0-9]*/comm") if _text(path) in names]
    if running:
        yield well("cron runs (process %s)" % running[0].parent.name)
    elif any(shutil.which(name, path=ENVIRONMENT["PATH"]) for name in names):
        yield Finding(WARNING, "cron is installed and does not run", "a deploy starts it; see that the boot does, too")
    else:
        yield Finding(FAILED, "cron is not installed", "on the host: apt-get install cron")


def _compose(host: Host) -> Iterator[Finding]:
    from carboy.applier.compose.docker import facts  # travels with the runtime, where that is Compose

    found = facts(host)
    text = "docker %s, storage %s, %d containers run"
    yield well(text % (found.get("ServerVersion"), found.get("Driver"), found.get("ContainersRunning", 0)))


def _kubernetes(host: Host) -> Iterator[Finding]:
    context = host.args.get("context", "")
    done = host.call("kubectl", *(("--context", context) if context else ()), "version", "--request-timeout=5s")
    if done.returncode:
        said = "\n".join(done.stderr.strip().splitlines()[-2:])
        yield Finding(FAILED, "the cluster does not answer: %s" % said, "see: kubectl config get-contexts")
    else:
        yield well(", ".join(done.stdout.strip().splitlines()))


def nginx(host: Host) -> Iterator[Finding]:
    """Whether nginx could be given a site."""
    if host.args["proxy"] != "nginx":
        return
    if not shutil.which("nginx", path=ENVIRONMENT["PATH"]):
        yield well("not installed; a deploy installs it")
        return
    done = host.call("nginx", "-t")
    version = host.call("nginx", "-v").stderr.strip().rpartition("/")[2]
    if done.returncode:
        said = "\n".join(done.stderr.strip().splitlines()[-3:])
        yield Finding(FAILED, "its configuration is broken as it is:\n%s" % said, "mend that first: nginx -t")
    else:
        yield well("version %s, and its configuration is sound" % version)


def _text(path: object) -> str:
    try:
        return path.read_text().strip()  # type: ignore[attr-defined, no-any-return]
    except OSError:
        return ""
