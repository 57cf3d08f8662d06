"""Release: a folder that is complete or does not count, built from shipped bytes and what earlier releases hold."""

from __future__ import annotations

import json
import sys
from hashlib import sha256
from typing import Any

import pytest

from carboy.applier.host import Host, link
from carboy.applier.prune import forget
from carboy.applier.release import Release
from carboy.applier.resource import Failure
from carboy.applier.store import Store
from carboy.applier.venv import Venv
from tests.applier.conftest import converge
from tests.support.controller import Controller
from tests.support.trees import fill, snapshot

TREE = {"app.py": "print('one')\n", "static/page.html": "<p>\n", "bin/run": "#!/bin/sh\n"}


@pytest.fixture
def venv(host: Host, controller: Controller) -> Venv:
    """A venv that is complete already."""
    venv = Venv("/srv/app/venvs", controller.offer(b"demo==1.0\n"))
    path = fill(host.at(venv.path(host)), {"carboy.json": '{"blobs": []}'})
    (path / "bin").mkdir()
    (path / "bin/python").symlink_to(sys.executable)
    (host.at("/srv/app") / "releases").mkdir()
    return venv


def declare(controller: Controller, venv: Venv, tree: dict[str, str] = TREE, **more: Any) -> Release:
    """A release of a tree, with one file beside it."""
    entries = [
        [name, "0755" if name.startswith("bin/") else "0644", blob.sha256, blob.size]
        for name, blob in ((name, controller.offer(text.encode())) for name, text in sorted(tree.items()))
    ]
    manifest = controller.offer(json.dumps(entries).encode())
    files = {
        "environment": ("0600", controller.offer(b'KEY="secret value"\n')),
        "units/app@{release}.service": ("0644", controller.offer(b"[Service]\n")),
    }
    digest = sha256(json.dumps([entries, more], sort_keys=True).encode()).hexdigest()
    return Release("app", digest, manifest, venv, files, {"health": "/"}, **more)


def test_a_release_is_built_as_declared(host: Host, controller: Controller, venv: Venv) -> None:
    """The tree, the files beside it with their modes, the venv and the record are there; it drifts no longer."""
    release = declare(controller, venv, revision="abc")
    assert set(converge(host, release)) == {"complete"}
    assert not release.drift(host)
    store = Store(host, "app")
    (name,) = store.all()
    path = store.path(name)
    assert {file: (path / "tree" / file).read_text() for file in TREE} == TREE
    modes = {file: oct((path / file).stat().st_mode & 0o777) for file in ("environment", "tree/bin/run", "tree/app.py")}
    assert modes == {"environment": "0o600", "tree/bin/run": "0o755", "tree/app.py": "0o644"}
    assert (path / f"units/app@{name}.service").read_text() == "[Service]\n"
    assert (path / "venv/bin/python").exists()
    assert store.record(name)["revision"] == "abc"


def test_reading_touches_nothing(host: Host, controller: Controller, venv: Venv) -> None:
    """Reading drift, needs and diff changes nothing, before and after the release was built."""
    release = declare(controller, venv)
    host.fetch(list(release.lacks(host)))
    host.fetch(list(release.lacks(host)))
    for _ in range(2):
        before = snapshot(host.root)
        release.drift(host), list(release.lacks(host)), release.diff(host)
        assert snapshot(host.root) == before
        converge(host, release)


def test_only_changed_files_travel(host: Host, controller: Controller, venv: Venv) -> None:
    """The next release asks for its manifest and the changed file, and takes the others from the one before."""
    converge(host, declare(controller, venv))
    forget(host, "app")
    controller.wanted.clear()
    release = declare(controller, venv, {**TREE, "app.py": "print('two')\n"})
    converge(host, release)
    tree_blobs = {sha256(text.encode()).hexdigest() for text in [*TREE.values(), "print('two')\n"]}
    assert [need["blob"] for need in controller.wanted if need["blob"] in tree_blobs] == [
        sha256(b"print('two')\n").hexdigest()
    ]
    found = Store(host, "app").find(release.digest)
    assert found and (Store(host, "app").path(found) / "tree/static/page.html").read_text() == "<p>\n"


def test_a_file_edited_on_the_host_is_not_inherited(host: Host, controller: Controller, venv: Venv) -> None:
    """What somebody changed by hand in an old release is asked for again, not copied into the next one."""
    converge(host, declare(controller, venv))
    store = Store(host, "app")
    (store.path(store.all()[0]) / "tree/static/page.html").write_text("edited on the host")
    forget(host, "app")
    release = declare(controller, venv, {**TREE, "app.py": "print('two')\n"})
    converge(host, release)
    found = store.find(release.digest)
    assert found and (store.path(found) / "tree/static/page.html").read_text() == "<p>\n"


def test_a_release_without_its_record_is_built_again(host: Host, controller: Controller, venv: Venv) -> None:
    """What a crash left before release.json was written does not count and is replaced."""
    release = declare(controller, venv)
    converge(host, release)
    store = Store(host, "app")
    (store.path(store.all()[0]) / "release.json").unlink()
    assert store.all() == []
    assert release.drift(host)
    converge(host, release)
    assert not release.drift(host)


def test_a_release_that_leads_to_other_packages_is_built_again(host: Host, controller: Controller, venv: Venv) -> None:
    """A release whose link was turned to another venv does not count; the next one has the venv that it wants."""
    release = declare(controller, venv)
    converge(host, release)
    store = Store(host, "app")
    other = fill(host.at("/srv/app/venvs/other"), {"carboy.json": '{"blobs": []}', "bin/python": ""})
    link(store.path(store.all()[0]) / "venv", str(other))
    assert store.find(release.digest) is None
    converge(host, release)
    assert not release.drift(host)
    found = store.find(release.digest)
    assert found and (store.path(found) / "venv").resolve() == host.at(venv.path(host)).resolve()


def test_a_failing_check_leaves_no_release(host: Host, controller: Controller, venv: Venv) -> None:
    """A check that refuses ends in a failure with its words; no release of that digest is there."""
    release = declare(controller, venv, checks=("ls {path}/no-such-{release}",))
    with pytest.raises(Failure, match="ls exited") as caught:
        converge(host, release)
    assert "no-such-" in caught.value.details
    assert Store(host, "app").all() == []


def test_code_that_does_not_compile_is_the_gate_s_business(host: Host, controller: Controller, venv: Venv) -> None:
    """A file that is no Python may be a template of code that nobody imports; a release is built all the same."""
    converge(host, declare(controller, venv, {"app.py": "def broken(:\n"}))
    assert len(Store(host, "app").all()) == 1


def test_the_diff_names_files_and_hides_secrets(host: Host, controller: Controller, venv: Venv) -> None:
    """Added, changed and dropped files by name; text beside the tree as a diff; nothing of a secret file."""
    converge(host, declare(controller, venv))
    store = Store(host, "app")
    link(store.home / "current", "releases/" + store.all()[0])
    release = declare(controller, venv, {"app.py": "changed", "bin/run": TREE["bin/run"], "new.py": ""})
    release.files["environment"] = ("0600", controller.offer(b'KEY="another value"\n'))
    while needs := list(release.lacks(host)):
        host.fetch(needs)
    told = release.diff(host).splitlines()
    assert told[:3] == ["~ tree/app.py", "+ tree/new.py", "- tree/static/page.html"]
    assert "~ environment (secret content differs)" in told
    assert not [line for line in told if "value" in line]
    assert not [line for line in told if "Service" in line], "the unit is the same"
