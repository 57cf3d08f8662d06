"""Where packages come from, and that a venv is whole or absent, shared, compiled, and never shipped twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.host.conftest import Site

CHANGED = "find /var/lib/carboy/blobs -type f -newer /run/stamp -printf '%s\\n'"
UNCOMPILED = """
import pathlib, sys
for folder in sys.argv[1:]:
    for path in pathlib.Path(folder).rglob("*.py"):
        made = path.parent / "__pycache__" / (path.stem + "." + sys.implementation.cache_tag + ".pyc")
        if not made.exists():
            print(path)
"""
REACHES = "ip route get 192.0.2.1 >/dev/null 2>&1 && echo yes || echo no"


@contextmanager
def offline(site: Site) -> Iterator[None]:
    """Cut a host off from everything but this machine."""
    route = site.shell("ip route show default")
    site.shell("ip route del default")
    try:
        yield
    finally:
        site.shell(f"ip route add {route}")


def venv(site: Site) -> str:
    """The venv of the release that serves."""
    return site.shell("readlink -f /srv/hello/current/venv")


def imports(site: Site, module: str) -> bool:
    """Whether the venv that serves can import a module."""
    return not site.shell(f"{venv(site)}/bin/python -c 'import {module}' 2>&1 | tail -n 1 || true")


def test_host_without_internet(fresh: Site) -> None:
    """Wheels resolved here are shipped, so that a host which reaches nothing is deployed to all the same."""
    with offline(fresh):
        assert fresh.shell(REACHES) == "no"
        fresh.invoke("deploy")
    assert imports(fresh, "flask, gunicorn, gevent")


def test_everything_is_compiled(deployed: Site) -> None:
    """Packages, the app's tree and gunicorn's configuration carry their bytecode, which the service may not write."""
    assert (
        deployed.host.container.exec("python3", "-c", UNCOMPILED, f"{venv(deployed)}/lib", "/srv/hello/current/") == ""
    )


def test_unchanged_requirements_share_the_venv(deployed: Site) -> None:
    """Two releases of the same requirements have one venv, and the second ships no packages."""
    before = venv(deployed)
    deployed.shell("touch /run/stamp")
    deployed.edit("app/wsgi.py", "app = create_app()", "app = create_app()\n")
    outcome = deployed.invoke("deploy")
    assert not any(name.startswith("venv") for name in outcome.changed)
    assert venv(deployed) == before
    assert deployed.shell("ls /srv/hello/venvs | wc -l; ls /srv/hello/releases | wc -l").split() == ["1", "2"]
    assert deployed.shell(CHANGED) == ""


def test_one_changed_requirement_ships_one_wheel(deployed: Site) -> None:
    """Of a changed set of packages only what the host lacks travels: here one wheel of 98 kB, of 20 MB in all."""
    deployed.shell("touch /run/stamp")
    deployed.edit("app/requirements.txt", "flask", "click==8.1.8\nflask")
    deployed.invoke("deploy")
    assert 90_000 < sum(map(int, deployed.shell(CHANGED).split())) < 130_000
    assert imports(deployed, "flask, gunicorn, gevent")


@pytest.mark.parametrize("damage", ["rm {venv}/carboy.json", "rm {venv}/bin/python"])
def test_a_venv_that_is_not_whole_is_built_anew(deployed: Site, damage: str) -> None:
    """Without its mark or its Python a venv does not count, and the next deploy mends it."""
    before = venv(deployed)
    deployed.shell(damage.format(venv=before))
    assert "venv /srv/hello/venvs" in deployed.invoke("deploy").changed
    assert venv(deployed) == before
    assert imports(deployed, "flask, gunicorn, gevent")
    assert deployed.invoke("deploy").changed == []


def test_index_of_the_host(deployed: Site) -> None:
    """A host that reaches an index may fetch the packages itself, in which case none is shipped."""
    assert deployed.shell(REACHES) == "yes"
    deployed.shell("touch /run/stamp")
    deployed.invoke("deploy", "-e", "app_packages_from=index")
    assert sum(map(int, deployed.shell(CHANGED).split())) < 10_000
    assert imports(deployed, "flask, gunicorn, gevent")


def test_pip_where_there_is_no_uv(deployed: Site, tmp_path: Path) -> None:
    """A controller without a uv that fits ships pip, with the same result."""
    (tmp_path / "uv.py").write_text("raise ImportError")
    deployed.shell("rm -r /var/lib/carboy/blobs /srv/hello/venvs/*")
    deployed.invoke("deploy", env={"PYTHONPATH": str(tmp_path)})
    assert imports(deployed, "flask, gunicorn, gevent")
    assert deployed.shell("find /var/lib/carboy/blobs -type f -size +20M") == ""
    test_everything_is_compiled(deployed)


@pytest.mark.parametrize("wrong", ["flask==99.0", "werkzeug==2.0.0"])
def test_requirements_that_do_not_resolve(deployed: Site, wrong: str) -> None:
    """A requirement that nobody can meet, or that contradicts another one, is named; the host stays as it was."""
    before = deployed.shell("find /srv /etc -printf '%p %T@\\n' | sort")
    deployed.variables = {"app_requires": [wrong]}
    [error] = deployed.invoke("deploy", expect=1).of("error")
    assert wrong in error["what"] and error["hint"]
    assert deployed.shell("find /srv /etc -printf '%p %T@\\n' | sort") == before
    assert deployed.serving()
