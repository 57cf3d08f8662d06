"""The user that runs the app, and the folders that it lives in."""

from __future__ import annotations

from testinfra.host import Host

from carboy.verify import judge
from carboy.verify.target import Target

FOLDERS = {
    "{home}": "root:root 755",
    "{home}/releases": "root:root 755",
    "{home}/venvs": "root:root 755",
    "{home}/shared": "{app}:{app} 750",
    "{logs}": "{app}:{app} 750",
}


def test_user(host: Host, target: Target) -> None:
    """The app has a system user and a group of its own, and nobody can log in as it."""
    user = host.user(target.app.name)
    judge.holds(user.exists, f"there is no user {target.app.name}", target.repair)
    found = {"group": user.group, "home": user.home, "shell": user.shell, "password": user.password}
    wanted = {"group": target.app.name, "home": target.app.home, "shell": "/usr/sbin/nologin", "password": "!"}
    judge.same(found, wanted, f"user {target.app.name}", target.repair)
    judge.holds(0 < user.uid < 1000, f"user {target.app.name} has the number {user.uid} of a person, not of a service")


def test_folders(host: Host, target: Target) -> None:
    """Every folder of the app belongs to whom it should, with the mode that it should have."""
    names = {"home": target.app.home, "logs": target.app.logs, "app": target.app.name}
    wanted = {place.format(**names): kept.format(**names) for place, kept in FOLDERS.items()}
    listed = host.run("stat --format='%%n %%U:%%G %%a' -- " + " ".join(["%s"] * len(wanted)), *wanted).stdout
    found = dict(line.split(" ", 1) for line in listed.splitlines())
    judge.same(found, wanted, "folders", target.repair)
