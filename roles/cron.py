"""cron runs the app, where there is no systemd."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from carboy.applier.resource import Resource
from carboy.inventory import Host
from roles.app import Settings as App
from roles.server import Files
from roles.server import Settings as Server

REFUSES: dict[str, str] = {}


@dataclass(frozen=True)
class Settings:
    """`cron_*`: none yet."""

    app: App
    server: Server

    def files(self) -> Files:
        """What a release carries for it."""
        return {}

    @property
    def checks(self) -> tuple[str, ...]:
        """Commands that must accept a release before it is complete; {path} is its folder."""
        return ()


def resources(host: Host, s: Settings) -> Iterator[Resource]:  # noqa: ARG001 - every role has this form
    """Nothing beside the release."""
    yield from ()
