"""What may be secret stays with root and the app."""

from __future__ import annotations

from testinfra.host import Host

from carboy.verify import judge
from carboy.verify.target import Target


def test_environment_files(target: Target) -> None:
    """The environment of each release is root's alone."""
    found = target.output(r"find %s -name environment ! \( -user root -perm 0600 \)", f"{target.app.home}/releases")
    judge.none(
        found.splitlines(),
        "not root's alone",
        f"chmod 0600 {target.app.home}/releases/*/environment, and change the secrets",
    )


def test_secret_files(target: Target) -> None:
    """A secret that is a file is read by root and by the app, by nobody else, in its release and as it runs."""
    kept = rf"\( -user root -perm 0600 \) -o \( -user root -group {target.app.name} -perm 0440 \)"
    found = target.output(rf"find %s -path '*/secrets/*' ! \( {kept} \)", f"{target.app.home}/releases")
    handed = target.output("find %s -path %s -perm /007", "/run", f"/run/credentials/{target.app.name}*@*/*")
    judge.none([*found.splitlines(), *handed.splitlines()], "not root's and the app's alone", "change these secrets")


def test_world_readable(host: Host, target: Target) -> None:
    """No log, no shared file and nothing that was shipped can be read by everybody."""
    places = (target.app.logs, f"{target.app.home}/shared", "/var/lib/carboy/blobs", "/var/lib/carboy/runs")
    command = r"find %s %s %s %s -maxdepth 0 -perm /007; find %s ! -type l -perm /007"
    found = host.run(command, *places, target.app.logs).stdout.splitlines()
    judge.none(sorted(set(found)), "open to every user of the host", "chmod o-rwx these")


def test_world_writable(target: Target) -> None:
    """No log and no shared file can be written by everybody."""
    found = target.output("find %s %s ! -type l ! -type s -perm /002", f"{target.app.home}/shared", target.app.logs)
    judge.none(found.splitlines(), "every user of the host can write to", "chmod o-w these")
