"""The example app as an image in the cluster's own node, so that no registry is needed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from carboy.inventory import Host
from carboy.sandbox.container import Container
from carboy.settings import resolve
from roles import app, flask, gevent, gunicorn, server

ROOT = Path(__file__).parents[3]
RELEASE = "/release"
UID = 10001
# The node's Python, with the packages beside it: what a virtual environment comes to.
DOCKERFILE = f"""FROM carboy/pause:1
ENV PYTHONPATH={RELEASE}/packages:{RELEASE}/tree
COPY . {RELEASE}
RUN mkdir -p {RELEASE}/venv/bin && ln -s /usr/bin/python3 {RELEASE}/venv/bin/python
USER {UID}:{UID}
WORKDIR {RELEASE}/tree
"""


def build(node: Container, tag: str, folder: Path) -> str:
    """Have an image of the example app in the node, made from what the server's role says, and return its name."""
    chosen = _server()
    shutil.copytree(ROOT / "app", folder / "tree/app", ignore=shutil.ignore_patterns("__pycache__"))
    for name, (_, content) in chosen.files().items():
        (folder / name).write_bytes(content.data)  # type: ignore[attr-defined]
    _packages(folder / "packages")
    command = chosen.command.replace("%r", RELEASE)
    (folder / "Dockerfile").write_text(f"{DOCKERFILE}CMD {command}\n".replace("CMD ", "CMD exec "))
    node.engine.run("cp", str(folder), f"{node.name}:/var/tmp/{folder.name}")
    node.exec("docker", "build", "--quiet", "--tag", tag, f"/var/tmp/{folder.name}")
    return tag


def _server() -> server.Server:
    """The server of an app with no wishes of its own."""
    variables = {"app_name": "hello", "app_wsgi": "app.wsgi:app", "gunicorn_workers": 2}
    roles = {module.__name__.partition(".")[2]: module.Settings for module in (app, flask, gevent, gunicorn, server)}
    settings: server.Settings = resolve(roles, Host("image", variables, {}))["server"]
    return settings.chosen


def _packages(target: Path) -> None:
    """The app's packages for the node's Python, resolved on this machine."""
    import uv

    requirements = ["--requirement", str(ROOT / "app/requirements.txt")]
    command = [uv.find_uv_bin(), "pip", "install", "--quiet", "--python-version", "3.11", "--only-binary", ":all:"]
    subprocess.run(
        [*command, "--target", str(target), *requirements], check=True, env={**os.environ, "UV_SYSTEM_CERTS": "1"}
    )
