"""Rotation of the app's logs: by rename and a signal to the main process, so that no line is lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from carboy.applier.file import File
from carboy.applier.package import Package
from carboy.applier.resource import Resource
from carboy.applier.service import Service
from carboy.inventory import Host
from carboy.template import template
from roles.app import Settings as App


@dataclass(frozen=True)
class Settings:
    """`logrotate_*`: how many rotated logs are kept."""

    app: App
    keep: int = 7


def resources(host: Host, s: Settings) -> Iterator[Resource]:  # noqa: ARG001 - every role has this form
    """Declare the rotation rule, and the timer that runs it daily."""
    yield Package(("logrotate",))
    yield File(f"/etc/logrotate.d/{s.app.name}", template("logrotate/app.j2", s=s), check="logrotate -d {}")
    yield Service("logrotate.timer")
