"""The app's own files: a folder, or a git repository at a ref."""

from __future__ import annotations

import fnmatch
import io
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import sha256
from pathlib import Path

from carboy.catalog import Content
from carboy.errors import DeclarationError
from carboy.project import ROOT, STATE

ALWAYS_LEFT_OUT = (
    ".git",
    ".hg",
    "__pycache__",
    "*.pyc",
    ".venv",
    "venv",
    "node_modules",
    ".env",
    ".envrc",
    ".carboy",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
)
CHECKOUTS = STATE / "git"


@dataclass(frozen=True)
class Source:
    """The tree of an app: what it is called in version control, and each file by its path in the tree."""

    revision: str
    files: dict[str, Path]

    @cached_property
    def manifest(self) -> Content:
        """The list of [path, mode, sha256, size] that identifies the tree."""
        try:
            contents = {name: Content.of(path) for name, path in sorted(self.files.items())}
        except OSError as problem:
            raise DeclarationError(
                f"a file of the app cannot be read: {problem}", hint="app_exclude leaves it out"
            ) from problem
        entries = [[name, _mode(self.files[name]), each.sha256, each.size] for name, each in contents.items()]
        return Content.of(json.dumps(entries), names=tuple(contents.values()))

    def text(self, name: str) -> str | None:
        """A file of the tree as text; None where there is none."""
        return self.files[name].read_text(encoding="utf-8") if name in self.files else None


def load(
    place: str, *, ref: str = "", include: tuple[str, ...] = (), exclude: tuple[str, ...] = (), where: str = ""
) -> Source:
    """The files below `place`: a folder, or with `ref` a git repository at that commit, tag or branch.

    `include` names the top-level entries to take (all if empty), `exclude` shell patterns of names to leave out.
    Raises `DeclarationError` if there is no such folder, repository or ref. Read once in the life of a process: all
    hosts of a run get the same.
    """
    try:
        return _read(place, ref, include, exclude)
    except DeclarationError as error:
        error.where = where
        raise


def forget() -> None:
    """Have what was read be read anew."""
    _read.cache_clear()


@cache
def _read(place: str, ref: str, include: tuple[str, ...], exclude: tuple[str, ...]) -> Source:
    if not place:
        return Source("", {})
    root, revision = _checkout(place, ref) if ref else (ROOT / Path(place).expanduser(), "")
    if not root.is_dir():
        raise DeclarationError(f"no folder {place}", hint="app_source names the app's folder or repository")
    for name in include:
        if not (root / name).exists():
            raise DeclarationError(f"no {name} in {place}", hint="app_include names entries of app_source")
    walk = _Walk(root, include, (*ALWAYS_LEFT_OUT, *exclude))
    return Source(revision or _described(root), {path.relative_to(root).as_posix(): path for path in walk.files(root)})


@dataclass(frozen=True)
class _Walk:
    root: Path
    include: tuple[str, ...]
    exclude: tuple[str, ...]

    def files(self, folder: Path) -> Iterator[Path]:
        for path in sorted(folder.iterdir()):
            if not self._taken(path):
                continue
            if path.is_symlink():
                self._check_link(path)
            if path.is_dir():
                yield from self.files(path)
            elif path.is_file():
                yield path

    def _taken(self, path: Path) -> bool:
        included = not self.include or path.relative_to(self.root).parts[0] in self.include
        return included and not any(fnmatch.fnmatch(path.name, pattern) for pattern in self.exclude)

    def _check_link(self, path: Path) -> None:
        # What a link reads elsewhere would travel unseen, and a linked folder may lead in a circle.
        if not path.is_file() or not path.resolve().is_relative_to(self.root.resolve()):
            raise DeclarationError(
                f"{path.relative_to(self.root)} is a link to {path.readlink()}, which is no file of the app's folder",
                hint="put the file itself there; app_exclude leaves the link out",
            )


def _mode(path: Path) -> str:
    return "0755" if path.stat().st_mode & 0o100 else "0644"


def _described(root: Path) -> str:
    """The git commit of a folder, with a mark if files differ from it; empty where git knows nothing of it."""
    if not any((folder / ".git").exists() for folder in (root.resolve(), *root.resolve().parents)):
        return ""
    done = subprocess.run(
        ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"], capture_output=True, text=True
    )
    return done.stdout.strip() if done.returncode == 0 else ""


def _checkout(place: str, ref: str) -> tuple[Path, str]:
    """Bring the repository into the cache and lay out the tree of `ref`, which is kept by its commit."""
    mirror = CHECKOUTS / sha256(place.encode()).hexdigest()[:12]
    if not mirror.exists():
        _git("clone", "--quiet", "--mirror", "--", place, str(mirror))
    else:
        _git("-C", str(mirror), "fetch", "--quiet", "--prune")
    # Not rev-parse, whose error would not name the ref.
    found = _git("-C", str(mirror), "rev-list", "--max-count=1", "--end-of-options", ref, "--")
    commit = found.decode().strip()
    tree = CHECKOUTS / f"{mirror.name}-{commit}"
    if not tree.exists():
        archive = _git("-C", str(mirror), "archive", "--format=tar", commit)
        draft = Path(tempfile.mkdtemp(dir=CHECKOUTS))
        with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
            # Not "data", which refuses links out of the tree even where app_exclude leaves them out.
            packed.extraction_filter = getattr(tarfile, "tar_filter", None)  # which early 3.11 does not know
            packed.extractall(draft)
        draft.rename(tree)
    return tree, commit[:12]


def _git(*arguments: str) -> bytes:
    try:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True).stdout
    except FileNotFoundError as problem:
        raise DeclarationError("git is not installed here", hint="install git, or use a folder") from problem
    except subprocess.CalledProcessError as problem:
        said = problem.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["git failed"]
        raise DeclarationError(said[0], hint="check app_source and app_ref") from problem
