"""How an image that was sent gets into the engine: which layers it lacks, and the archive that brings them."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import IO, Any, Dict, Iterator, List

from carboy.applier.compose.docker import docker, facts, inspect
from carboy.applier.compose.image import Image
from carboy.applier.host import ENVIRONMENT, Host
from carboy.applier.resource import Failure, Need, Weight

CONTAINERD = "io.containerd.snapshotter.v1"
Part = Dict[str, Any]


def lacks(image: Image, host: Host) -> Iterator[Need]:
    """The layers by name; then the image's description, and each layer that the engine lacks."""
    if not host.has(image.order):
        yield image.order
    for part in _lacking(image, host):
        need = {"blob": part["sha256"], "size": part["size"]}
        if not host.has(need):
            yield need


def weighs(image: Image, host: Host) -> Iterator[Weight]:
    """The layers, unpacked."""
    yield (Path(facts(host)["DockerRootDir"]), sum(part["weight"] for part in _lacking(image, host)), 0)


def load(image: Image, host: Host) -> None:
    """Hand the engine an archive with what it lacks."""
    lacking, parts = _lacking(image, host), _parts(image, host)
    layers, size = len(lacking) - 1, sum(part["size"] for part in lacking)
    host.say("loading %s: %d of %d layers, %.1f MB" % (image.reference, layers, len(parts) - 1, size / 1e6))
    pipe, nothing, command = subprocess.PIPE, subprocess.DEVNULL, ("docker", "load", "--quiet")
    # Our own stdout is the channel to the controller: nobody else may write there.
    with subprocess.Popen(command, stdin=pipe, stdout=nothing, stderr=pipe, env=ENVIRONMENT, cwd="/") as engine:
        assert engine.stdin and engine.stderr
        try:
            _pack(image, host, engine.stdin)
            engine.stdin.close()
        except BrokenPipeError:
            pass  # it says why
        said = engine.stderr.read().decode("utf-8", "replace").strip()
    if engine.returncode:
        raise Failure("the engine does not load the image", details=said, hint="on the host: journalctl -u docker")


def _pack(image: Image, host: Host, target: IO[bytes]) -> None:
    described, *layers = [part["sha256"] for part in _parts(image, host)]
    manifest = json.dumps([{"Config": described, "RepoTags": [image.reference], "Layers": layers}]).encode()
    with tarfile.open(fileobj=target, mode="w|") as archive:
        for part in _lacking(image, host):
            archive.add(host.blob({"blob": part["sha256"]}), part["sha256"])
        entry = tarfile.TarInfo("manifest.json")
        entry.size = len(manifest)
        archive.addfile(entry, io.BytesIO(manifest))


def _parts(image: Image, host: Host) -> List[Part]:
    """The image's description, and its layers from the first to the last."""
    return host.answer(image.order) if host.has(image.order) else []  # type: ignore[return-value]


def _lacking(image: Image, host: Host) -> List[Part]:
    """The description, and the layers after those that an image of the engine begins with, too."""
    parts = _parts(image, host)
    described, layers = parts[:1], parts[1:]
    return described + layers[_common(host, [layer["layer"] for layer in layers]) :]


def _common(host: Host, layers: List[str]) -> int:
    """How many of these layers, from the first, the engine has in one image."""
    # An engine that keeps images in containerd wants archives that are whole.
    if not layers or CONTAINERD in json.dumps(facts(host)["DriverStatus"]):
        return 0
    names = docker(host, "image", "ls", "--all", "--quiet", "--no-trunc").split()
    chains = [image["RootFS"].get("Layers", []) for image in inspect(host, "image", *sorted(set(names)))]
    return max((_alike(chain, layers) for chain in chains), default=0)


def _alike(chain: List[str], layers: List[str]) -> int:
    pairs = enumerate(zip(chain, layers))  # noqa: B905 - not in Python 3.9
    return next((at for at, (one, other) in pairs if one != other), min(len(chain), len(layers)))
