"""From a host's variables to its catalog: which roles, in which order, and what makes another release."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from carboy import source
from carboy.applier.release import Release
from carboy.declaration import RUNTIMES, Declaration, declare
from carboy.errors import DeclarationError
from carboy.inventory import Host
from tests.support.trees import fill

Declare = Callable[..., Declaration]


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """The folder of a small app."""
    return fill(tmp_path / "app", {"app/wsgi.py": "app = None\n", "requirements.txt": "gunicorn\n"})


@pytest.fixture
def declared(app: Path) -> Declare:
    """Declares a host with that app, and with more variables."""

    def declared(name: str = "prod1", **more: Any) -> Declaration:
        known = {"app_wsgi": "app.wsgi:app", "app_source": str(app), "app_name": "hello"}
        return declare(Host(name, {**known, **more}, {}))

    return declared


def release(declaration: Declaration) -> Release:
    """The release in a catalog."""
    (found,) = (resource for _, resource in declaration.catalog.entries if isinstance(resource, Release))
    return found


def test_all_roles_in_their_order(declared: Declare) -> None:
    """Without carboy_roles a host has all roles; their resources come in the order in which roles need each other."""
    catalog = declared().catalog
    roles = list(dict.fromkeys(role for role, _ in catalog.entries))
    assert roles == [role for role in RUNTIMES["systemd"] if role in roles]
    kinds = [type(resource).__name__ for _, resource in catalog.entries]
    assert kinds.index("User") < kinds.index("Venv") < kinds.index("Release") < kinds.index("Cutover") == len(kinds) - 1


def test_roles_can_be_chosen(declared: Declare) -> None:
    """A host gets the resources of the roles that it names, and of no other."""
    assert {role for role, _ in declared(carboy_roles=["app"]).catalog.entries} == {"app"}


@pytest.mark.parametrize("roles", ["app", ["app", 1], {"app": None}, ["nosuch"]])
def test_strange_roles_are_refused(declared: Declare, roles: Any) -> None:
    """What is no list of known roles is an error with the place of the variable."""
    with pytest.raises(DeclarationError) as caught:
        declared(carboy_roles=roles)
    assert "carboy_roles" in caught.value.where


def test_every_blob_that_a_resource_names_is_there(declared: Declare) -> None:
    """Whatever a host may ask for by digest, the controller can send."""
    catalog = declared().catalog
    found = release(declared())
    named = {found.manifest.sha256, found.venv.requirements.sha256, *(blob.sha256 for _, blob in found.files.values())}
    assert named <= set(catalog.blobs)


def test_the_same_app_is_the_same_release_on_every_host(declared: Declare) -> None:
    """What a host is called or how it is reached does not make another release."""
    again = declared("prod2", ansible_host="192.0.2.1", ansible_port=2222, release_keep=9)
    assert release(again).digest == release(declared()).digest


@pytest.mark.parametrize(
    "change",
    [
        {"app_wsgi": "app.wsgi:other"},
        {"app_environment": {"A": "1"}},
        {"app_requires": ["flask"]},
        {"app_python": "python3.12"},
        {"app_packages_from": "index"},
        {"app_listen": "0.0.0.0:9000"},
        {"app_health": "/other"},
        {"gunicorn_workers": 3},
        {"app_stop_timeout": 5},
        {"app_memory_max": "1G"},
        {"systemd_restart_sec": 2},
        {"systemd_backlog": 99},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_decides_how_the_app_runs_makes_a_release(declared: Declare, change: dict[str, Any]) -> None:
    """Packages, Python, configuration, environment, units: each change is another identity, so it is deployed."""
    assert release(declared(**change)).digest != release(declared()).digest


@pytest.mark.parametrize("file", ["app/wsgi.py", "requirements.txt", "app/new.html"])
def test_every_file_of_the_tree_counts(declared: Declare, app: Path, file: str) -> None:
    """A changed or added file is another release."""
    before = release(declared()).digest
    fill(app, {file: "changed\n"})
    source.forget()
    assert release(declared()).digest != before


def test_a_secret_counts_and_does_not_show(declared: Declare, tmp_path: Path) -> None:
    """A changed secret is another release; the secret is nowhere in the catalog, which people may print."""
    secrets = tmp_path / "secrets.yml"
    digests = set()
    for value in ("hunter2", "hunter3"):
        secrets.write_text(f"TOKEN: {value}\n")
        declaration = declared(app_secrets_file=str(secrets))
        digests.add(release(declaration).digest)
        assert "hunter" not in str(declaration.catalog.wire()) + repr(declaration.catalog.entries)
        assert release(declaration).files["environment"][0] == "0600"
    assert len(digests) == 2


def test_an_app_without_a_tree(declared: Declare) -> None:
    """A published app needs no source: what the inventory requires is enough."""
    found = release(declared(app_source="", app_requires=["someapp", "gunicorn"]))
    assert found.manifest.size == len("[]")
