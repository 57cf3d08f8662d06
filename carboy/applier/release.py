"""A release: everything that decides how an app runs, in one folder that never changes once it is complete."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

from carboy.applier.file import own
from carboy.applier.host import MORTAL, Host, anew, write
from carboy.applier.resource import Blob, Drift, Need, Properties, Resource, Weight
from carboy.applier.store import COMPLETE, MANIFEST, Store
from carboy.applier.venv import Venv


@dataclass(frozen=True)
class Release(Resource):
    """The app's tree, its venv and the files beside them (gunicorn's config, environment, units).

    `manifest` is the blob of a list of [path, mode, sha256, size]; `files` maps a name to (mode, content); `gate` says
    how the release is judged: health, listen, start_timeout, environment of the candidate; `checks` are commands that
    must accept it. {release} and {path} stand for its name and folder in names of files and in checks.
    """

    app: str
    digest: str
    manifest: Blob
    venv: Venv
    files: Dict[str, Tuple[str, Blob]]
    gate: Dict[str, Any]
    checks: Tuple[str, ...] = ()
    revision: str = ""

    def title(self) -> str:
        """The name people read."""
        return "release %s %s" % (self.app, self.digest[:8])

    def current(self, host: Host) -> Properties:
        """Whether a complete release of this digest is there with the venv it wants."""
        store = Store(host, self.app)
        found = store.find(self.digest)
        fits = found and store.record(found)["venv"] == self.venv.key(host)
        return {"complete": self.digest[:8] if fits else None}

    def desired(self, host: Host) -> Properties:
        """Its digest."""
        return {"complete": self.digest[:8]}

    def lacks(self, host: Host) -> Iterator[Need]:
        """The texts and the manifest; then every file of the tree that no earlier release holds."""
        yield from self.shows(host)
        if not host.has(self.manifest.need):
            return
        held = self._held(host)
        for digest, size in sorted({(digest, size) for _, _, digest, size in self._entries(host)}):
            if digest not in held and not host.has({"blob": digest}):
                yield {"blob": digest, "size": size}

    def weighs(self, host: Host) -> Iterator[Weight]:
        """The tree, as soon as its manifest has arrived."""
        from carboy.applier.room import weight

        if host.has(self.manifest.need):
            sizes = ((name, size) for name, _, _, size in self._entries(host))
            yield (Store(host, self.app).home / "releases", *weight(sizes))

    def shows(self, host: Host) -> Iterator[Need]:
        """The texts beside the tree, and the manifest of the tree."""
        for blob in (self.manifest, *(blob for _, blob in self.files.values())):
            if not host.has(blob.need):
                yield blob.need

    def repair(self, host: Host, drift: Drift) -> None:
        """Build the folder in place; release.json, written last, is what makes it a release."""
        store = Store(host, self.app)
        name = store.new(self.digest)
        path = store.path(name)
        host.say("building release %s" % name)
        with anew(path):
            self._lay_out(host, path)
        self._check(host, name, path)
        os.sync()
        write(path / COMPLETE, json.dumps(self._record(host), indent=1).encode())

    def diff(self, host: Host) -> str:
        """What changes against the release that people are pointed to now."""
        from carboy.applier.difference import Contents, contents_of, difference, secrets

        store = Store(host, self.app)
        texts = {name: host.blob(blob.need).read_bytes() for name, (_, blob) in self.files.items()}
        tree = {path: digest for path, _, digest, _ in self._entries(host)}
        after = Contents(tree, texts, secrets({name: mode for name, (mode, _) in self.files.items()}))
        return difference(contents_of(store.path(store.current() or "none")), after)

    def _record(self, host: Host) -> Dict[str, Any]:
        return {
            "digest": self.digest,
            "venv": self.venv.key(host),
            "revision": self.revision,
            "gate": self.gate,
            "files": {name: mode for name, (mode, _) in self.files.items()},
        }

    def _entries(self, host: Host) -> List[Tuple[str, str, str, int]]:
        return [tuple(entry) for entry in json.loads(host.blob(self.manifest.need).read_text())]

    def _held(self, host: Host) -> Dict[str, Path]:
        """Where earlier releases hold files of this tree, by digest; only those that still are what they were."""
        from carboy.applier.difference import tree_of

        store = Store(host, self.app)
        paths = (store.path(name) for name in store.all())
        held = {digest: path / "tree" / name for path in paths for name, digest in tree_of(path).items()}
        wanted = {digest for _, _, digest, _ in self._entries(host)}
        return {digest: path for digest, path in held.items() if digest in wanted and _digest(path) == digest}

    def _lay_out(self, host: Host, path: Path) -> None:
        from carboy.applier.parts import lay

        path.mkdir(mode=0o755)
        self._tree(host, path / "tree")
        lay(host, self.app, path, self.files)
        write(path / MANIFEST, host.blob(self.manifest.need).read_bytes())
        (path / "venv").symlink_to(os.path.relpath(host.at(self.venv.path(host)), path))

    def _tree(self, host: Host, target: Path) -> None:
        target.mkdir()
        held = self._held(host)
        for name, mode, digest, _ in self._entries(host):
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(held.get(digest) or host.blob({"blob": digest}), path)
            path.chmod(int(mode, 8))
        if host.live:
            # What the app's owner keeps from others at home is nobody's business here either.
            own(target, "0750", "root", self.app)

    def _check(self, host: Host, name: str, path: Path) -> None:
        code = [str(path / "tree"), *(str(path / part) for part in self.files if part.endswith(".py"))]
        # What does not compile may never be imported: a template of code, say. The gate finds out.
        compiling = host.begin(*MORTAL, str(path / "venv/bin/python"), "-m", "compileall", "-q", *code)
        for check in self.checks:
            host.run(*[part.format(path=path, release=name) for part in shlex.split(check)])
        compiling.wait()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
