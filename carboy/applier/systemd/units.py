"""The systemd units of one app: their names, their state, and which release they choose."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from carboy.applier.host import link, remove
from carboy.applier.runtime import State
from carboy.applier.store import Store
from carboy.applier.systemd import systemctl

NOT_RELOADED = "not reloaded"


@dataclass(frozen=True)
class Units:
    """An app's units: a socket for the public, and per release a service with a private socket for probes."""

    store: Store

    @property
    def socket(self) -> str:
        """The unit that holds the public socket, whichever releases come and go."""
        return self.store.app + ".socket"

    def instance(self, release: str) -> str:
        """The service of one release."""
        return "%s@%s.service" % (self.store.app, release)

    def candidate(self, release: str) -> str:
        """The same release before the public sees it."""
        return "%s-candidate@%s.service" % (self.store.app, release)

    def candidate_socket(self, release: str) -> str:
        """The unit that holds a candidate's private socket."""
        return "%s-candidate@%s.socket" % (self.store.app, release)

    def hook(self, release: str) -> str:
        """The command of a release that runs around its cutover."""
        return "%s-hook@%s.service" % (self.store.app, release)

    def probe_socket(self, release: str) -> str:
        """The unit that holds the private socket of a serving instance."""
        return "%s-probe@%s.socket" % (self.store.app, release)

    def probe_address(self, release: str) -> str:
        """The private socket of a serving instance, for questions to it alone."""
        return "/run/%s-probe/%s.sock" % (self.store.app, release)

    def candidate_address(self, release: str) -> str:
        """The private socket of a candidate."""
        return "/run/%s-candidate/%s.sock" % (self.store.app, release)

    @property
    def _all(self) -> Tuple[str, ...]:
        return (self.socket, self.instance("*"), self.candidate("*"), self.probe_socket("*"))

    def foresee(self) -> None:
        """Begin to ask systemd what `read` will want to know."""
        systemctl.foresee(self.store.host, *self._all)

    def read(self) -> State:
        """Read everything about the app's units, in one call to systemd."""
        shown = systemctl.show(self.store.host, *self._all)
        services = {name: unit for name, unit in shown.items() if "@" in name and name.endswith(".service")}
        running = [name for name, unit in services.items() if unit["ActiveState"] in systemctl.RUNNING]
        ending = [name for name, unit in services.items() if unit["ActiveState"] == "deactivating"]
        return State(
            serving=sorted(_release(name) for name in running if name.startswith(self.store.app + "@")),
            draining=sorted(_release(name) for name in ending if name.startswith(self.store.app + "@")),
            candidates=sorted(_release(name) for name in running if not name.startswith(self.store.app + "@")),
            chosen=self._chosen(),
            socket=_socket(shown[self.socket]),
            shown=shown,
        )

    def files(self, release: str) -> Dict[Path, Path]:
        """Where each unit file of a release belongs on the host, and the release's own copy of it."""
        folder = self.store.host.at(systemctl.UNITS)
        return {folder / source.name: source for source in (self.store.path(release) / "units").glob("*")}

    def text(self, release: str, without: Tuple[str, ...]) -> str:
        """A release's own service, as far as its section [Service], without the lines of some keys."""
        own = (self.store.path(release) / "units" / self.instance(release)).read_text().partition("[Install]")[0]
        return "".join(line + "\n" for line in own.splitlines() if line.partition("=")[0] not in without)

    def as_released(self, release: str, state: State) -> bool:
        """Whether a release runs under the units that it brought, as they are installed now."""
        files, unit = self.files(release), state.shown.get(self.instance(release))
        same = all(place.exists() and place.read_bytes() == own.read_bytes() for place, own in files.items())
        if not same or not unit or unit["NeedDaemonReload"] == "yes":
            return False
        # A unit that was edited, started, and edited back again still runs as it was in between.
        return systemctl.started(unit) >= self._place(release).stat().st_mtime

    def refresh(self, release: str) -> None:
        """Install a release's units as of now: what was started before is stale, whatever the clock said then."""
        if self._place(release).exists():
            os.utime(self._place(release))
            self.store.host.stale_units = True
        self.install(release)

    def forgive(self, state: State) -> None:
        """Clear failures, which would keep systemd from starting a unit again."""
        failed = [name for name, unit in state.shown.items() if unit["ActiveState"] == "failed"]
        if failed:
            self.store.host.call("systemctl", "reset-failed", *failed)

    def install(self, release: str) -> None:
        """Put a release's unit files in place and make systemd read them."""
        for place, own in self.files(release).items():
            systemctl.install(self.store.host, place, own.read_bytes())
        systemctl.settle(self.store.host)

    def choose(self, release: str) -> None:
        """Make the release the one that the public socket starts, and that starts at the next boot.

        The links are what `systemctl enable` makes; made here, both decisions cost a single reload.
        """
        self.store.host.stale_units = self.store.host.stale_units or self._chosen() != release
        systemctl.install(self.store.host, self._choice, ("[Socket]\nService=%s\n" % self.instance(release)).encode())
        self._want("multi-user.target", self.instance(release))
        self._want("sockets.target", self.socket)
        for path in self._enabled():
            if path.name != self.instance(release):
                remove(path)
        systemctl.settle(self.store.host)

    def sweep(self, release: str) -> None:
        """Remove the services of other releases, which keep their own copies, and what runs that were killed left."""
        units, transient = (self.store.host.at(path) for path in (systemctl.UNITS, systemctl.TRANSIENT))
        folders = (units, transient, *units.glob("*.target.wants"))
        left = [
            *(path for path in units.glob(self.instance("*")) if path.name != self.instance(release)),
            *(path for name in ("candidate@", "hook@") for path in transient.glob("%s-%s*" % (self.store.app, name))),
            *(path for folder in folders for path in folder.glob(".%s[@.-]*.carboy" % self.store.app)),
            *self._choice.parent.glob(".*.carboy"),
        ]
        for path in left:
            remove(path)

    def discard(self, release: str) -> None:
        """Leave nothing of a release's service that failed: not its private socket, not its failure."""
        self.store.host.call("systemctl", "stop", self.instance(release), self.probe_socket(release))
        self.store.host.call("systemctl", "reset-failed", self.instance(release))
        remove(self._place(release))

    def unchoose(self) -> None:
        """Choose no release: nothing starts on demand or at the next boot."""
        wants = self.store.host.at("%s/sockets.target.wants/%s" % (systemctl.UNITS, self.socket))
        for path in (self._choice, wants, *self._enabled()):
            remove(path)

    def _place(self, release: str) -> Path:
        return self.store.host.at(systemctl.UNITS) / self.instance(release)

    @property
    def _choice(self) -> Path:
        return self.store.host.at("%s/%s.d/release.conf" % (systemctl.UNITS, self.socket))

    def _enabled(self) -> List[Path]:
        wants = self.store.host.at(systemctl.UNITS + "/multi-user.target.wants")
        return sorted(wants.glob(self.instance("*")))

    def _want(self, target: str, unit: str) -> None:
        path = self.store.host.at("%s/%s.wants/%s" % (systemctl.UNITS, target, unit))
        wanted = "%s/%s" % (systemctl.UNITS, unit)
        # Not anew if it is right: that would take room on a disk that may have none.
        if not path.is_symlink() or os.readlink(path) != wanted:
            path.parent.mkdir(exist_ok=True)
            link(path, wanted)

    def _chosen(self) -> Optional[str]:
        """The release that both the socket and the next boot would start; None where they disagree."""
        named = self._choice.read_text().partition("Service=")[2].strip() if self._choice.exists() else ""
        enabled = [path.name for path in self._enabled()]
        return _release(named) if enabled == [named] else None


def _socket(unit: Dict[str, str]) -> str:
    return NOT_RELOADED if unit["NeedDaemonReload"] == "yes" else unit["ActiveState"]


def _release(instance: str) -> str:
    return instance.partition("@")[2][: -len(".service")]
