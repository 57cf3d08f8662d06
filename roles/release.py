"""The release: the app's files, its packages, its server's configuration and its units as one; and the switch to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from carboy import environment, requirements, source
from carboy.applier.cutover import Cutover
from carboy.applier.policy import Policy
from carboy.applier.release import Release
from carboy.applier.resource import Resource
from carboy.applier.venv import Venv
from carboy.catalog import Content, digest
from carboy.inventory import Host
from carboy.settings import Duration
from roles import gunicorn, systemd
from roles.app import Settings as App


@dataclass(frozen=True)
class Settings:
    """`release_*`: how long the public socket is watched after a switch, and how many healthy releases are kept."""

    app: App
    gunicorn: gunicorn.Settings
    systemd: systemd.Settings
    watch: Duration = Duration(3)
    keep: int = 5

    @property
    def policy(self) -> Policy:
        """How a switch is judged, and what it leaves."""
        return Policy(watch=float(self.watch), keep=self.keep)

    def validate(self) -> Iterator[tuple[str, str]]:
        """What the types cannot say."""
        if self.keep < 2:
            yield "keep", f"{self.keep} must be at least 2, or there is nothing to roll back to"


def resources(host: Host, s: Settings) -> Iterator[Resource]:
    """Declare the venv, the release, and that it is the one that serves."""
    tree = source.load(
        s.app.source, ref=s.app.ref, include=s.app.include, exclude=s.app.exclude, where=host.where("app_source")
    )
    venv = Venv(f"{s.app.home}/venvs", _requirements(host, s, tree), s.app.python, s.app.packages_from)
    manifest = tree.manifest()
    files = {
        # An index may be named there along with its password.
        "requirements.txt": ("0600", venv.requirements),
        **gunicorn.files(s.gunicorn),
        **systemd.files(s.systemd),
        "environment": (
            "0600",
            environment.content(s.app.environment, s.app.secrets_file, host.where("app_secrets_file")),
        ),
    }
    gate = {
        "health": s.app.health,
        "listen": s.app.listen,
        "start_timeout": float(s.app.start_timeout),
        "candidate": s.gunicorn.candidate,
    }
    identity = digest(manifest, venv, files, gate)
    yield venv
    yield Release(s.app.name, identity, manifest, venv, files, gate, systemd.checks(s.systemd), tree.revision)
    yield Cutover(s.app.name, identity, s.policy)


def _requirements(host: Host, s: Settings, tree: source.Source) -> Content:
    return requirements.content(tree, s.app.requirements, s.app.requires, where=host.where("app_requirements"))
