"""How an image is built on a host: which files that takes, which of them are lacking, and the build itself."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any, Dict, Iterator, List

from carboy.applier.compose.context import Context, Part
from carboy.applier.compose.docker import docker, facts, inspect
from carboy.applier.compose.image import Image
from carboy.applier.host import MORTAL, Host, anew
from carboy.applier.resource import Failure, Need, Weight
from carboy.applier.room import weight
from carboy.applier.store import Store

ASK = "import json, platform, sys; print(json.dumps(['%d.%d' % sys.version_info[:2], *platform.libc_ver()]))"
BASES: Dict[str, List[str]] = {}
"""The Python of each base that was asked in this run."""


def lacks(image: Image, host: Host) -> Iterator[Need]:
    """The texts and the manifest; the packages by name; then each file that no earlier image holds."""
    yield from image.shows(host)
    for need in _questions(image, host):
        if not host.has(need):
            yield need
    yield from _context(image, host).lacks()


def weighs(image: Image, host: Host) -> Iterator[Weight]:
    """What is unpacked in the engine's store, and the folder; a base that is pulled has no known weight."""
    weights = [part["weight"] for part in _packages(image, host) if "weight" in part]
    folder = weight((name, size) for name, _, _, size in _parts(image, host))
    # The packages are written twice: where they are installed, and in the image itself.
    sizes = [sum(each[at] for each in (*weights, *weights, folder)) for at in (0, 1)]
    yield (Path(facts(host)["DockerRootDir"]), sizes[0], sizes[1])
    yield (Store(host, image.app).home, *folder)


def build(image: Image, host: Host) -> None:
    """Build it from a folder that is laid out anew."""
    context = _context(image, host)
    context.path.parent.mkdir(exist_ok=True)
    with anew(context.path):
        context.path.mkdir()
        context.lay_out(image.manifest, image.files)
        _run(image, host, context.path)
        context.complete(image.identity(host))


def mode(package: str) -> str:
    """A package's mode in the folder: only the installer is a program."""
    return "0755" if package == "uv" else "0644"


def _run(image: Image, host: Host, folder: Path) -> None:
    host.say("building %s" % image.reference)
    flags = ("--network=none", "--build-arg=BASE=" + image.base, "--tag", image.reference)
    done = host.call(*MORTAL, "docker", "build", *flags, str(folder))
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip(" -") and "DEPRECATED" not in line]
        hint = "correct what it says, or image_base, and deploy again"
        raise Failure("the image cannot be built", details="\n".join(lines[-15:]), hint=hint)


def _context(image: Image, host: Host) -> Context:
    return Context(Store(host, image.app), image.key(host), _parts(image, host))


def _parts(image: Image, host: Host) -> List[Part]:
    """All that lies in the folder under its digest, as far as it is known yet."""
    tree = json.loads(host.blob(image.manifest.need).read_text()) if host.has(image.manifest.need) else []
    packages = _packages(image, host)
    return [
        *(("release/tree/" + name, bits, digest, size) for name, bits, digest, size in tree),
        *(("packages/" + each["name"], mode(each["name"]), each["sha256"], each["size"]) for each in packages),
    ]


def _packages(image: Image, host: Host) -> List[Dict[str, Any]]:
    asked = (need for need in _questions(image, host) if host.has(need))
    return [part for need in asked for part in host.answer(need)]  # type: ignore[attr-defined]


def _questions(image: Image, host: Host) -> List[Need]:
    """What the controller has to look up: the installer, and the packages for the base's own Python."""
    version, *libc = _python(image, host)
    where = {"machine": platform.machine(), "libc": libc}
    wheels = {"requirements": image.requirements.sha256, "python": version, **where}
    return [{"installer": where}, {"wheels": wheels}]


def _python(image: Image, host: Host) -> List[str]:
    """Version and libc of the Python in the base, which is pulled if the engine has none."""
    if image.base not in BASES:
        if not inspect(host, "image", image.base):
            _pull(host, image.base)
        run = ("run", "--rm", "--network=none", "--entrypoint", image.python, image.base)
        BASES[image.base] = json.loads(docker(host, *run, "-I", "-S", "-c", ASK))
    return BASES[image.base]


def _pull(host: Host, base: str) -> None:
    host.say("pulling the base image %s" % base)
    done = host.call("docker", "pull", "--quiet", base)
    if done.returncode:
        raise Failure(
            "the base image %s is not on the host and cannot be pulled" % base,
            details="\n".join(done.stderr.strip().splitlines()[-3:]),
            hint="see that the host reaches the registry, load the image by hand, or set image_build: controller",
        )
