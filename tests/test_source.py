"""The app's own files: a folder, parts of it, or a git repository at a ref."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from carboy import source
from carboy.errors import DeclarationError
from carboy.source import Source
from tests.support.trees import fill

FILES = {
    "app.py": "print()",
    "pkg/__init__.py": "",
    "pkg/data.txt": "data",
    "docs/guide.md": "guide",
    "pkg/__pycache__/x.pyc": "",
    ".venv/bin/python": "",
    "venv/bin/python": "",
    "pkg/node_modules/x.js": "",
    ".env": "TOKEN=hunter2",
    "pkg/.envrc": "export TOKEN=hunter2",
    "notes.pyc": "",
    ".git/config": "[core]",
}
KEPT = ["app.py", "docs/guide.md", "pkg/__init__.py", "pkg/data.txt"]


def load(place: str, **more: object) -> Source:
    """The files of an app, as a run of its own reads them."""
    source.forget()
    return source.load(place, **more)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an app, and with what surrounds one; checkouts of git go beside it."""
    monkeypatch.setattr(source, "CHECKOUTS", tmp_path / "checkouts")
    return fill(tmp_path / "project", FILES)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git repository with two commits, the first of which is tagged v1."""
    monkeypatch.setattr(source, "CHECKOUTS", tmp_path / "checkouts")
    monkeypatch.setenv("HOME", str(tmp_path))
    path = fill(tmp_path / "repo", {"app.py": "one"})
    git(path, "init", "--quiet", "--initial-branch=main")
    commit(path, "one")
    git(path, "tag", "v1")
    fill(path, {"app.py": "two"})
    commit(path, "two")
    return path


def git(path: Path, *arguments: str) -> str:
    """Run git in a repository."""
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    return subprocess.run(
        ["git", *who, *arguments], cwd=path, check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(path: Path, message: str) -> None:
    """Commit everything."""
    git(path, "add", "-A")
    git(path, "commit", "--quiet", "-m", message)


def names(place: Path, **more: tuple[str, ...]) -> list[str]:
    """The paths that a source takes."""
    return list(load(str(place), **more).files)  # type: ignore[arg-type]


def test_a_folder_without_what_never_belongs_to_an_app(folder: Path) -> None:
    """Version control, bytecode, installed packages and .env are left out; all else is taken, by name."""
    assert names(folder) == KEPT


@pytest.mark.parametrize(
    ("include", "exclude", "taken"),
    [
        (("pkg",), (), ["pkg/__init__.py", "pkg/data.txt"]),
        (("app.py", "docs"), (), ["app.py", "docs/guide.md"]),
        ((), ("*.md", "data.*"), ["app.py", "pkg/__init__.py"]),
        (("pkg",), ("data.txt",), ["pkg/__init__.py"]),
        ((), ("pkg", "docs"), ["app.py"]),
    ],
)
def test_include_and_exclude(
    folder: Path, include: tuple[str, ...], exclude: tuple[str, ...], taken: list[str]
) -> None:
    """`include` names top-level entries, `exclude` patterns of names anywhere."""
    assert names(folder, include=include, exclude=exclude) == taken


def test_links_to_files_of_the_tree_are_followed(folder: Path) -> None:
    """A link to a file of the same tree travels as that file's content, wherever the tree itself is linked from."""
    (folder / "linked.py").symlink_to("pkg/data.txt")
    (folder / "pkg/up").symlink_to("../app.py")
    (folder.parent / "alias").symlink_to(folder)
    found = load(str(folder.parent / "alias"))
    assert sorted(found.files) == sorted([*KEPT, "linked.py", "pkg/up"])
    assert found.text("linked.py") == "data"


@pytest.mark.parametrize("target", ["../secret", "/etc/hostname", "nowhere", "docs", ".", "strange"])
def test_other_links_are_refused(folder: Path, target: str) -> None:
    """A link out of the tree, to nothing, to a folder or to itself is told by name, unless it is left out."""
    (folder.parent / "secret").write_text("hunter2")
    (folder / "pkg/strange").symlink_to(target)
    with pytest.raises(DeclarationError, match=f"pkg/strange is a link to {target},") as caught:
        load(str(folder), where="hosts.yml: app_source")
    assert caught.value.where == "hosts.yml: app_source" and "app_exclude" in caught.value.hint
    assert names(folder, exclude=("strange",)) == KEPT
    assert names(folder, include=("docs",)) == ["docs/guide.md"]


def test_links_in_a_repository_are_judged_alike(repository: Path) -> None:
    """A link out of the tree of a commit is refused as in a folder, and can be left out as there."""
    (repository / "strange").symlink_to("/etc/hostname")
    commit(repository, "link")
    with pytest.raises(DeclarationError, match="strange is a link to /etc/hostname"):
        load(str(repository), ref="main")
    assert list(load(str(repository), ref="main", exclude=("strange",)).files) == ["app.py"]


def test_the_manifest_is_the_identity(folder: Path) -> None:
    """Equal trees have equal manifests wherever they lie; a changed byte, name or execute bit shows."""
    manifests = [load(str(folder)).manifest.sha256]
    assert load(str(fill(folder.parent / "copy", FILES))).manifest.sha256 == manifests[0]
    (folder / "app.py").chmod(0o755)
    manifests.append(load(str(folder)).manifest.sha256)
    fill(folder, {"app.py": "print(1)"})
    manifests.append(load(str(folder)).manifest.sha256)
    (folder / "app.py").rename(folder / "main.py")
    manifests.append(load(str(folder)).manifest.sha256)
    assert len(set(manifests)) == 4


def test_modes_other_than_execution_do_not_count(folder: Path) -> None:
    """The umask of whoever checked the app out does not make another release of it."""
    before = load(str(folder)).manifest.sha256
    (folder / "app.py").chmod(0o600)
    assert load(str(folder)).manifest.sha256 == before
    entries = json.loads(load(str(folder)).manifest.text())
    assert entries[0][:2] == ["app.py", "0644"]


def test_no_place_is_an_app_without_a_tree() -> None:
    """An app that comes from the package index alone has no files."""
    assert load("").files == {}


def test_a_missing_folder_is_told_with_its_place(tmp_path: Path) -> None:
    """The folder and the place in the inventory are named."""
    with pytest.raises(DeclarationError, match="no folder") as caught:
        load(str(tmp_path / "nowhere"), where="hosts.yml: app_source")
    assert caught.value.where == "hosts.yml: app_source"


def test_a_missing_entry_is_told(folder: Path) -> None:
    """A name in app_include that is not there is an error, not an empty app."""
    with pytest.raises(DeclarationError, match="no aap in"):
        load(str(folder), include=("aap",))


@pytest.mark.parametrize(("ref", "text"), [("v1", "one"), ("main", "two"), ("main~1", "one")])
def test_a_git_repository_at_a_ref(repository: Path, ref: str, text: str) -> None:
    """A tag, a branch, or what git says relative to one: the tree of that commit, whatever is checked out."""
    fill(repository, {"app.py": "not committed"})
    found = load(str(repository), ref=ref)
    assert found.text("app.py") == text
    assert found.revision == git(repository, "rev-parse", "--short=12", ref + "^{commit}")


def test_a_commit_by_its_number(repository: Path) -> None:
    """A commit is found by its number, in full or shortened."""
    number = git(repository, "rev-parse", "v1^{commit}")
    assert load(str(repository), ref=number).text("app.py") == "one"
    assert load(str(repository), ref=number[:10]).text("app.py") == "one"


def test_a_branch_that_moved_is_fetched(repository: Path) -> None:
    """The cache never keeps a branch where it was: each load asks the repository."""
    assert load(str(repository), ref="main").text("app.py") == "two"
    fill(repository, {"app.py": "three"})
    commit(repository, "three")
    assert load(str(repository), ref="main").text("app.py") == "three"


@pytest.mark.parametrize("ref", ["no-such-branch", "-n", "--upload-pack=touch x", "v1:app.py", "..", "\n"])
def test_an_unknown_ref_is_an_error(repository: Path, ref: str) -> None:
    """What names no commit is told in git's own words, and never taken for an option of git."""
    with pytest.raises(DeclarationError) as caught:
        load(str(repository), ref=ref, where="app_source")
    assert (caught.value.where, caught.value.exit_code) == ("app_source", 3)
    assert not (repository.parent / "x").exists()


@pytest.mark.parametrize("place", ["project", "nowhere", "--upload-pack=touch x"])
def test_what_is_no_repository_is_an_error(folder: Path, place: str) -> None:
    """A folder without a repository, or none at all, is told; nothing is left in the cache that would pass for one."""
    for _ in range(2):
        with pytest.raises(DeclarationError):
            load(place if place.startswith("-") else str(folder.parent / place), ref="main")


def test_the_revision_of_a_folder_marks_changes(repository: Path) -> None:
    """A folder under git is described by its commit, with a mark while something differs from it."""
    number = git(repository, "rev-parse", "--short=12", "main")
    git(repository, "tag", "-d", "v1")
    assert load(str(repository)).revision == number
    fill(repository, {"app.py": "changed"})
    assert load(str(repository)).revision == number + "-dirty"


def test_all_hosts_of_a_run_get_the_same(folder: Path) -> None:
    """What changes while a run begins is not on some hosts and not on others; and it is read once for all of them."""
    source.forget()
    first = source.load(str(folder), where="host a")
    (folder / "app.py").write_text("changed")
    assert source.load(str(folder), where="host b") is first
