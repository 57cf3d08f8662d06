"""The images of fresh hosts, Debian 12 or a variant: taken from the engine, else from the cache, else built."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from carboy.sandbox.engine import Engine, last_line
from carboy.sandbox.errors import SandboxError
from carboy.sandbox.files import alone

Progress = Callable[[str], None]
SOURCES = Path(__file__).parent / "image"
REPOSITORY = "localhost/carboy-host"
SCRIPTS = ("entry.sh", "provision.sh", "more.sh")
"""What is put into an image to run there; the last one only if the variant has it."""
PLAIN = ""
"""The variant that most hosts are of."""


def ensure(engine: Engine, progress: Progress, variant: str = PLAIN) -> str:
    """Return the tag of a variant's host image, making it first where it is missing."""
    tag = f"{REPOSITORY}:{digest(variant)}"
    with alone(SOURCES / variant):
        if not engine.succeeds("image", "inspect", tag):
            _provide(engine, tag, progress, variant)
    return tag


def sources(variant: str = PLAIN) -> dict[str, Path]:
    """Return what an image is made of, by name: a file in the variant's folder takes the place of the common one."""
    folders = [SOURCES, SOURCES / variant] if variant else [SOURCES]
    found = {path.name: path for folder in folders for path in folder.iterdir() if path.is_file()}
    return {name: found[name] for name in sorted(found)}


def digest(variant: str = PLAIN) -> str:
    """Return what identifies the image: all that goes into it, and the architecture."""
    content = b"\0".join(path.read_bytes() for path in sources(variant).values())
    return hashlib.sha256(platform.machine().encode() + b"\0" + content).hexdigest()[:12]


def cached(variant: str = PLAIN) -> Path:
    """Return where a root filesystem built here is kept for the next checkout."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache, "carboy", f"host-{digest(variant)}.tar.zst")


def _provide(engine: Engine, tag: str, progress: Progress, variant: str) -> None:
    if _intact(cached(variant)):
        progress(f"importing the host image from {cached(variant)}")
        return _load(engine, tag, variant)
    problems = []
    for build in (_debootstrap, _containerfile):
        try:
            return build(engine, tag, progress, variant)
        except SandboxError as error:
            problems.append(error.what)
    raise SandboxError(
        f"the {variant or 'Debian 12'} host image cannot be built: {'; '.join(problems)}",
        hint="on Debian, install mmdebstrap and zstd; elsewhere, let the engine reach an image registry",
    )


def _debootstrap(engine: Engine, tag: str, progress: Progress, variant: str) -> None:
    missing = [tool for tool in ("apt-get", "mmdebstrap", "zstd") if not shutil.which(tool)]
    if missing:
        raise SandboxError(f"{' and '.join(missing)} not installed, so it cannot be made from packages")
    suites = list(_apt_suites(_suite(variant)))
    progress(f"building the host image from {suites[0].split()[1]}: this is a Debian machine (about 40 s, once)")
    cache = cached(variant)
    cache.parent.mkdir(parents=True, exist_ok=True)
    unfinished = cache.with_name(f"{os.getpid()}-{cache.name}")
    try:
        _mmdebstrap(unfinished, suites, variant)
        unfinished.rename(cache)
    finally:
        unfinished.unlink(missing_ok=True)
    _load(engine, tag, variant)


def _mmdebstrap(target: Path, suites: list[str], variant: str) -> None:
    files = sources(variant)
    packages = ",".join(files["packages.txt"].read_text().split())
    scripts = " ".join(shlex.quote(str(files[name])) for name in SCRIPTS if name in files)
    hooks = (
        f"copy-in {scripts} /usr/local/sbin",
        'chroot "$1" sh /usr/local/sbin/provision.sh',
        'cd "$1/usr/local/sbin" && rm -f provision.sh more.sh && mv entry.sh carboy-entry && chmod 0755 carboy-entry',
    )
    excluded = (f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("doc", "man", "locale"))
    command = ["mmdebstrap", "--variant=minbase", f"--include={packages}", *excluded]
    # Debian 12 refuses an unmerged /usr, and that has to be so before the first package is unpacked.
    command += ["--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"]
    command += [f"--customize-hook={hook}" for hook in hooks]
    if "early.sh" in files:
        command += [f'--essential-hook=sh {shlex.quote(str(files["early.sh"]))} "$1"']
    command += [_suite(variant), str(target), *suites]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode:
        raise SandboxError(f"mmdebstrap failed: {last_line(done.stderr)}")


def _suite(variant: str) -> str:
    """The Debian release of a variant, as its Containerfile names it."""
    found = re.search(r"^FROM debian:([a-z]+)", sources(variant)["Containerfile"].read_text(), re.MULTILINE)
    return found[1] if found else "bookworm"


def _apt_suites(suite: str) -> Iterator[str]:
    release = platform.freedesktop_os_release()
    if release.get("ID") != "debian":
        raise SandboxError("this is not Debian, so its packages cannot be taken from apt's sources")
    codename = release.get("VERSION_CODENAME", "")
    mirror, security = _apt_site(codename), _apt_site(f"{codename}-security")
    yield f"deb {mirror} {suite} main"
    yield f"deb {mirror} {suite}-updates main"
    yield f"deb {security} {suite}-security main"


def _apt_site(codename: str) -> str:
    command = ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages", f"Codename: {codename}"]
    sites = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    if not sites:
        raise SandboxError(f"apt has no source for {codename}")
    return sites[0]


def _containerfile(engine: Engine, tag: str, progress: Progress, variant: str) -> None:
    progress(f"building the host image with {engine.name} from debian of an image registry (a minute, once)")
    with tempfile.TemporaryDirectory() as context:
        for name, path in sources(variant).items():
            shutil.copy(path, Path(context, name))
        engine.run("build", "--tag", tag, "--file", f"{context}/Containerfile", context)


def _intact(path: Path) -> bool:
    test = ["zstd", "--test", "--quiet", str(path)]
    return path.exists() and bool(shutil.which("zstd")) and not subprocess.run(test, capture_output=True).returncode


def _load(engine: Engine, tag: str, variant: str) -> None:
    unpack = ["zstd", "--decompress", "--stdout", str(cached(variant))]
    with subprocess.Popen(unpack, stdout=subprocess.PIPE) as zstd:
        engine.run("import", "--change", 'CMD ["/sbin/init"]', "-", tag, stdin=zstd.stdout)
