"""The image of a fresh Debian 12 host: taken from the engine, else from the cache, else built."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from carboy.sandbox.engine import Engine, last_line
from carboy.sandbox.errors import SandboxError

Progress = Callable[[str], None]
SOURCES = Path(__file__).parent / "image"
REPOSITORY = "localhost/carboy-host"


def ensure(engine: Engine, progress: Progress) -> str:
    """Return the tag of the host image, making it first where it is missing."""
    tag = f"{REPOSITORY}:{digest()}"
    if not engine.succeeds("image", "inspect", tag):
        _provide(engine, tag, progress)
    return tag


def digest() -> str:
    """Return what identifies the image: all that goes into it, and the architecture."""
    content = b"\0".join(path.read_bytes() for path in sorted(SOURCES.iterdir()))
    return hashlib.sha256(platform.machine().encode() + b"\0" + content).hexdigest()[:12]


def cached() -> Path:
    """Return where a root filesystem built here is kept for the next checkout."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache, "carboy", f"host-{digest()}.tar.zst")


def _provide(engine: Engine, tag: str, progress: Progress) -> None:
    if _intact(cached()):
        progress(f"importing the host image from {cached()}")
        return _load(engine, tag)
    problems = []
    for build in (_debootstrap, _containerfile):
        try:
            return build(engine, tag, progress)
        except SandboxError as error:
            problems.append(error.what)
    raise SandboxError(
        f"the Debian 12 host image cannot be built: {'; '.join(problems)}",
        hint="on Debian, install mmdebstrap and zstd; elsewhere, let the engine reach an image registry",
    )


def _debootstrap(engine: Engine, tag: str, progress: Progress) -> None:
    missing = [tool for tool in ("apt-get", "mmdebstrap", "zstd") if not shutil.which(tool)]
    if missing:
        raise SandboxError(f"{' and '.join(missing)} not installed, so it cannot be made from packages")
    suites = list(_apt_suites())
    progress(f"building the host image from {suites[0].split()[1]}: this is a Debian machine (about 40 s, once)")
    cached().parent.mkdir(parents=True, exist_ok=True)
    unfinished = cached().with_name(f"{os.getpid()}-{cached().name}")
    try:
        _mmdebstrap(unfinished, suites)
        unfinished.rename(cached())
    finally:
        unfinished.unlink(missing_ok=True)
    _load(engine, tag)


def _mmdebstrap(target: Path, suites: list[str]) -> None:
    entry, provision = shlex.quote(str(SOURCES / "entry.sh")), shlex.quote(str(SOURCES / "provision.sh"))
    packages = ",".join((SOURCES / "packages.txt").read_text().split())
    hooks = (
        f"copy-in {entry} {provision} /usr/local/sbin",
        'chroot "$1" sh /usr/local/sbin/provision.sh',
        'cd "$1/usr/local/sbin" && rm provision.sh && mv entry.sh carboy-entry && chmod 0755 carboy-entry',
    )
    excluded = (f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("doc", "man", "locale"))
    command = ["mmdebstrap", "--variant=minbase", f"--include={packages}", *excluded]
    # Debian 12 refuses an unmerged /usr, and that has to be so before the first package is unpacked.
    command += ["--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"]
    command += [f"--customize-hook={hook}" for hook in hooks]
    done = subprocess.run([*command, "bookworm", str(target), *suites], stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode:
        raise SandboxError(f"mmdebstrap failed: {last_line(done.stderr)}")


def _apt_suites() -> Iterator[str]:
    release = platform.freedesktop_os_release()
    if release.get("ID") != "debian":
        raise SandboxError("this is not Debian, so its packages cannot be taken from apt's sources")
    codename = release.get("VERSION_CODENAME", "")
    mirror, security = _apt_site(codename), _apt_site(f"{codename}-security")
    yield f"deb {mirror} bookworm main"
    yield f"deb {mirror} bookworm-updates main"
    yield f"deb {security} bookworm-security main"


def _apt_site(codename: str) -> str:
    command = ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages", f"Codename: {codename}"]
    sites = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    if not sites:
        raise SandboxError(f"apt has no source for {codename}")
    return sites[0]


def _containerfile(engine: Engine, tag: str, progress: Progress) -> None:
    progress(f"building the host image with {engine.name} from debian:12 of an image registry (a minute, once)")
    engine.run("build", "--tag", tag, "--file", str(SOURCES / "Containerfile"), str(SOURCES))


def _intact(path: Path) -> bool:
    test = ["zstd", "--test", "--quiet", str(path)]
    return path.exists() and bool(shutil.which("zstd")) and not subprocess.run(test, capture_output=True).returncode


def _load(engine: Engine, tag: str) -> None:
    unpack = ["zstd", "--decompress", "--stdout", str(cached())]
    with subprocess.Popen(unpack, stdout=subprocess.PIPE) as zstd:
        engine.run("import", "--change", 'CMD ["/sbin/init"]', "-", tag, stdin=zstd.stdout)
