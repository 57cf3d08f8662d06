"""The release: the app's files, its packages, its server's configuration and its units as one; and the switch to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from carboy import environment, requirements, source
from carboy.applier.cutover import Cutover
from carboy.applier.policy import Policy
from carboy.applier.release import Release
from carboy.applier.resource import Resource
from carboy.applier.venv import Venv
from carboy.catalog import Content, digest
from carboy.inventory import Host
from carboy.settings import Duration
from roles.app import Settings as App
from roles.cron import Settings as Cron
from roles.nginx import Settings as Nginx
from roles.server import Files
from roles.server import Settings as Server
from roles.systemd import Settings as Systemd


@dataclass(frozen=True)
class Settings:
    """`release_*`: how a switch is watched, what runs around it, what is kept, and what a receipt asks."""

    app: App
    server: Server
    systemd: Systemd
    cron: Cron
    nginx: Nginx
    watch: Duration = Duration(3)
    max_errors: int = 10
    keep: int = 5
    before_cutover: tuple[str, ...] = ()
    before_cutover_once: bool = False
    after_cutover: tuple[str, ...] = ()
    hook_timeout: Duration = Duration(300)
    reversible: bool = True
    receipt_path: str = ""
    receipt_clients: int = 4

    @property
    def runner(self) -> Systemd | Cron:
        """What runs a release whose packages are in a venv."""
        return self.cron if self.app.runtime == "cron" else self.systemd

    @property
    def gate(self) -> dict[str, Any]:
        """How the release is judged, now and if it ever comes back; part of what it is."""
        return {
            "runtime": self.app.runtime,
            "development": self.app.development,
            "health": self.app.health,
            "listen": self.app.listen,
            "start_timeout": float(self.app.start_timeout),
            "candidate": self.server.chosen.candidate,
            "once": ["before_cutover"] if self.before_cutover_once else [],
            "hook_timeout": float(self.hook_timeout),
            "reversible": self.reversible,
        }

    @property
    def policy(self) -> Policy:
        """How a switch is judged, and what it leaves."""
        return Policy(
            watch=float(self.watch),
            keep=self.keep,
            max_errors=self.max_errors,
            receipt_path=self.receipt_path or self.app.health,
            receipt_clients=self.receipt_clients,
        )

    def validate(self) -> Iterator[tuple[str, str]]:
        """What the types cannot say."""
        if self.keep < 2:
            yield "keep", f"{self.keep} must be at least 2, or there is nothing to roll back to"
        if not 0 <= self.max_errors <= 100:
            yield "max_errors", f"{self.max_errors} is no percentage"
        if self.hook_timeout < 1:
            yield "hook_timeout", f"{self.hook_timeout:g} s is too short: write at least 1s"
        if not re.fullmatch(r"(/[!-~]*)?", self.receipt_path):
            yield "receipt_path", f"{self.receipt_path!r} must begin with / and be ASCII without spaces"
        if not 1 <= self.receipt_clients <= 100:
            yield "receipt_clients", f"{self.receipt_clients} is not from 1 to 100"


def resources(host: Host, s: Settings) -> Iterator[Resource]:
    """Declare the venv, the release, and that it is the one that serves."""
    tree = source.load(
        s.app.source, ref=s.app.ref, include=s.app.include, exclude=s.app.exclude, where=host.where("app_source")
    )
    venv = Venv(f"{s.app.home}/venvs", _requirements(host, s, tree), s.app.python, s.app.packages_from)
    manifest = tree.manifest
    kept = s.app.kept(host, s.runner.secret_mode)
    files = {
        # An index may be named there along with its password.
        "requirements.txt": ("0600", venv.requirements),
        **s.server.chosen.files(),
        **s.runner.files(environment.names(kept)),
        **s.nginx.files(),
        **hooks(s),
        **kept,
    }
    identity = digest(manifest, venv, files, s.gate)
    yield venv
    checks = (*s.runner.checks, *s.nginx.checks)
    yield Release(s.app.name, identity, manifest, venv, files, s.gate, checks, tree.revision)
    yield Cutover(s.app.name, identity, s.policy)


def hooks(s: Settings) -> Files:
    """The commands around the cutover as scripts, one for each moment that has any."""
    commands = {"before_cutover": s.before_cutover, "after_cutover": s.after_cutover}
    return {f"hooks/{name}": ("0644", Content.of("\n".join([*lines, ""]))) for name, lines in commands.items() if lines}


def _requirements(host: Host, s: Settings, tree: source.Source) -> Content:
    where, server = host.where("app_requirements"), s.server.chosen.requires
    return requirements.content(tree, s.app.requirements, s.app.requires, where=where, server=server)
