"""The release that serves is whole."""

from __future__ import annotations

import json

from carboy.verify import judge
from carboy.verify.target import Target

SAID = {"digest", "venv", "revision", "gate"}


def test_release_is_complete(target: Target) -> None:
    """The release says what it is, and has the venv that it was built with."""
    said = json.loads(target.text(f"{target.folder}/release.json"))
    judge.none(sorted(SAID - set(said)), f"release.json of {target.folder} says nothing of", target.repair)
    venv = target.output("readlink -f %s", f"{target.folder}/venv")
    found = {"digest": target.folder.rpartition("-")[2], "venv": venv.rpartition("/")[2]}
    judge.same(found, {"digest": said["digest"][:8], "venv": said["venv"]}, target.folder, target.repair)


def test_files_are_as_released(target: Target) -> None:
    """No file of the release was changed, added or removed since it was built."""
    judge.none(target.ask("look.changed_files", target.folder), f"changed in {target.folder}/tree", target.repair)


def test_only_root_may_change_releases(target: Target) -> None:
    """All releases and venvs belong to root, and nobody else can write there."""
    command = r"find %s %s ! -type l \( ! -user root -o -perm /022 \)"
    found = target.output(command, f"{target.app.home}/releases", f"{target.app.home}/venvs").splitlines()
    judge.none(found, "others than root can change", "chown root: and chmod go-w these, and find out who did that")
