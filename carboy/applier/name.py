"""An app's name on a host: its user, units and folders are called so, and must not be somebody else's."""

from __future__ import annotations

import pwd
from dataclasses import dataclass
from typing import Iterator, Optional

from carboy.applier.file import ownership
from carboy.applier.host import Host
from carboy.applier.resource import Drift, Failure, Properties, Resource
from carboy.applier.store import Store

VENDOR_UNITS = ("/usr/lib/systemd/system", "/lib/systemd/system")
SUFFIXES = (".service", ".socket", "@.service")


@dataclass(frozen=True)
class Name(Resource):
    """Nothing of the host's own bears the app's name."""

    app: str
    home: str
    logs: str

    def title(self) -> str:
        """The name people read."""
        return "name %s" % self.app

    def current(self, host: Host) -> Properties:
        """What bears the name and is not the app's."""
        return {"taken by": sorted(set(self._others(host)))}

    def desired(self, host: Host) -> Properties:
        """Nothing."""
        return {"taken by": []}

    def repair(self, host: Host, drift: Drift) -> None:
        """Refuse: what belongs to somebody else is not taken over."""
        others = ", ".join(drift["taken by"][0])
        way = "choose another app_name, or for an app that moves to another app_runtime end it and remove %s/current"
        raise Failure("the name %s is taken on this host: %s" % (self.app, others), hint=way % self.home)

    def _others(self, host: Host) -> Iterator[str]:
        for path in (folder + "/" + self.app + suffix for folder in VENDOR_UNITS for suffix in SUFFIXES):
            if host.at(path).exists():
                yield "unit " + path.rpartition("/")[2]
        if _home(self.app) not in (self.home, None):
            yield "user %s with the home %s" % (self.app, _home(self.app))
        store = Store(host, self.app)
        runs = store.runtime(store.current())
        # Two of them would fight over the address, and each would know nothing of the other's.
        if runs not in ("", host.args.get("runtime", runs)):
            yield "release %s, which is for app_runtime %s" % (store.current(), runs)
        logs = host.at(self.logs)
        if logs.exists() and ownership(logs)["owner"] != self.app:
            yield "folder %s" % self.logs


def _home(user: str) -> Optional[str]:
    try:
        return pwd.getpwnam(user).pw_dir
    except KeyError:
        return None
