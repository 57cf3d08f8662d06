"""Images built on this machine, for hosts that build none: layer by layer over SSH, or by way of a registry."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import platform
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from carboy.applier.compose.building import ASK, mode
from carboy.catalog import Bytes, Content
from carboy.errors import FailedError
from carboy.sandbox.engine import limits
from carboy.wheelhouse import Wheelhouse, folder

ENGINES = ("podman", "docker")
Order = dict[str, Any]
Part = dict[str, Any]


class Builder:
    """Answers a host's orders for images; the bytes that an answer names can be had by digest afterwards."""

    def __init__(self, data: Callable[[str], Bytes], house: Wheelhouse) -> None:
        self.data = data
        self.house = house
        self.blobs: dict[str, Bytes] = {}

    def parts(self, order: Order) -> list[Part]:
        """The image's description and its layers, packed for the way."""
        kept = folder() / "images"
        listed = kept / f"{hashlib.sha256(json.dumps(order, sort_keys=True).encode()).hexdigest()[:16]}.json"
        parts = _noted(listed)
        if not parts:
            engine = _engine()
            self._have(engine, order)
            parts = _saved(engine, order["reference"], kept)
            _replace(listed, json.dumps(parts).encode())
        self.blobs |= {part["sha256"]: kept / part["sha256"] for part in parts}
        return parts

    def push(self, order: Order) -> list[Part]:
        """Have the registry hold the image."""
        engine, reference = _engine(), order["reference"]
        # Docker itself asks no certificate of a registry on the same machine; podman has to be told.
        plain = reference.startswith(("localhost", "127."))
        flags = ["--tls-verify=false"] if plain and engine == "podman" else []
        if not _succeeds(engine, "manifest", "inspect", *flags, reference):
            self._have(engine, order)
            hint = f"see that this machine reaches the registry and may write there: {engine} login"
            _call(engine, "push", "--quiet", *flags, reference, what=f"{reference} cannot be pushed", hint=hint)
        return []

    def _have(self, engine: str, order: Order) -> None:
        """Build the image, unless the engine has it."""
        if _succeeds(engine, "image", "inspect", order["reference"]):
            return
        with tempfile.TemporaryDirectory() as draft:
            self._lay_out(Path(draft), engine, order)
            # The format that podman prefers has no health check. With chroot it builds where it may run no container.
            own = ("--format=docker", "--isolation=chroot") if engine == "podman" else ("--network=none",)
            flags = (*own, f"--build-arg=BASE={order['base']}", f"--tag={order['reference']}")
            hint = "correct what it says, or image_base, and deploy again"
            _call(engine, "build", *flags, draft, what="the image cannot be built here", hint=hint)

    def _lay_out(self, context: Path, engine: str, order: Order) -> None:
        """Make the folder that a host would build from; whatever this person's umask, the app can read it all."""
        for name, bits, digest, _ in json.loads(_bytes(self.data(order["manifest"]))):
            # In the image they belong to root, and the app must be able to read them.
            _write(context / "release/tree" / name, self.data(digest), int(bits, 8) | 0o444)
        for name, (bits, digest) in order["files"].items():
            _write(context / name, self.data(digest), int(bits, 8))
        for part in self._packages(engine, order):
            _write(context / "packages" / part["name"], self.house.blobs[part["sha256"]], int(mode(part["name"]), 8))
        for path in filter(Path.is_dir, context.rglob("*")):
            path.chmod(0o755)

    def _packages(self, engine: str, order: Order) -> list[Part]:
        run = ("run", "--rm", "--network=none", *limits(), "--entrypoint", order["python"], order["base"])
        hint = f"see that this machine has the base or reaches its registry: {engine} pull {order['base']}"
        what = f"the Python of image_base {order['base']} cannot be asked"
        version, *libc = json.loads(_call(engine, *run, "-I", "-S", "-c", ASK, what=what, hint=hint))
        where = {"machine": platform.machine(), "libc": libc}
        wheels = {"requirements": order["requirements"], "python": version, **where}
        return [*self.house.installer(where), *self.house.wheels(wheels)]


def _engine() -> str:
    found = next((name for name in ENGINES if shutil.which(name)), None)
    if not found:
        hint = "install podman or docker here, or set image_build: host"
        raise FailedError("image_build: controller needs an engine on this machine, and there is none", hint=hint)
    return found


def _call(engine: str, *arguments: str, what: str, hint: str) -> str:
    done = subprocess.run([engine, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise FailedError(f"{what}: {lines[-1] if lines else 'the engine gave no reason'}", hint=hint)
    return done.stdout


def _succeeds(engine: str, *arguments: str) -> bool:
    return not subprocess.run([engine, *arguments], stdin=subprocess.DEVNULL, capture_output=True).returncode


def _saved(engine: str, reference: str, kept: Path) -> list[Part]:
    """Take an image apart: its description, and each layer packed, under the digest of what is packed."""
    kept.mkdir(parents=True, exist_ok=True)
    flags = ("--format=docker-archive",) if engine == "podman" else ()
    with tempfile.TemporaryDirectory(dir=kept) as draft:
        archive = f"{draft}/image.tar"
        hint = "see that there is room for it in ~/.cache"
        _call(engine, "save", *flags, "--output", archive, reference, what="the image cannot be saved", hint=hint)
        with tarfile.open(archive) as saved:
            manifest = json.loads(_member(saved, "manifest.json").read())[0]
            described = Content.of(_member(saved, manifest["Config"]).read())
            _replace(kept / described.sha256, _bytes(described.data))
            layers = zip(manifest["Layers"], json.loads(described.text())["rootfs"]["diff_ids"], strict=True)
            first = {"sha256": described.sha256, "size": described.size, "weight": described.size, "layer": ""}
            return [first, *(_layer(saved, name, layer, kept) for name, layer in layers)]


def _layer(saved: tarfile.TarFile, name: str, layer: str, kept: Path) -> Part:
    """One layer, packed once for all images that have it."""
    note = kept / f"layer-{layer.partition(':')[2]}.json"
    known = _noted(note)
    if not known:
        known = [_packed(_member(saved, name), layer, kept)]
        _replace(note, json.dumps(known).encode())
    return known[0]


def _noted(note: Path) -> list[Part]:
    """The parts that a note names; none if there is no such note, or a file of it is gone."""
    found = json.loads(note.read_text()) if note.exists() else []
    parts: list[Part] = found if isinstance(found, list) else [found]
    return parts if all((note.parent / part["sha256"]).exists() for part in parts) else []


def _packed(unpacked: IO[bytes], layer: str, kept: Path) -> Part:
    unfinished = kept / f"layer.{os.getpid()}"
    with unfinished.open("wb") as target, gzip.GzipFile("", "wb", 1, target, mtime=0) as packer:
        shutil.copyfileobj(unpacked, packer, 1 << 20)
        weight = packer.tell()
    content = Content.of(unfinished)
    unfinished.replace(kept / content.sha256)
    return {"sha256": content.sha256, "size": content.size, "weight": weight, "layer": layer}


def _member(saved: tarfile.TarFile, name: str) -> IO[bytes]:
    found = saved.extractfile(name)
    assert found, f"{name} is no file"
    return found


def _bytes(data: Bytes) -> bytes:
    return data if isinstance(data, bytes) else data.read_bytes()


def _replace(path: Path, data: bytes) -> None:
    """A reader never sees half of it."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_bytes(data)
    unfinished.replace(path)


def _write(path: Path, data: Bytes, bits: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_bytes(data))
    path.chmod(bits)
