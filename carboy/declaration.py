"""From a host of the inventory to its catalog: the roles it has, their settings, and the resources these declare."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache, cached_property
from typing import Any

from carboy.applier.policy import Policy
from carboy.catalog import Catalog
from carboy.errors import DeclarationError
from carboy.inventory import Host
from carboy.inventory.suggest import did_you_mean
from carboy.project import ROOT
from carboy.settings import resolve

ROLES = ROOT / "roles"
RUNTIMES = {
    "systemd": ("app", "systemd", "logrotate", "release"),
    "cron": ("app", "cron", "logrotate", "release"),
    "compose": ("app", "image", "logrotate", "compose"),
    "kubernetes": ("kubernetes",),
}
"""The roles of a host, by `app_runtime`."""
PROXIES = {"nginx": ("nginx",)}
"""The roles that `app_proxy` adds."""
CHOSEN = {*RUNTIMES, *PROXIES}
"""The roles that a setting of the app names."""
VARIABLE = "carboy_roles"


class Roles(Mapping[str, type[Any]]):
    """The settings of all roles that there are, each imported when it is asked for: most hosts have half of them."""

    def __iter__(self) -> Iterator[str]:
        """Their names."""
        return iter(_known())

    def __len__(self) -> int:
        """How many there are."""
        return len(_known())

    def __getitem__(self, role: str) -> type[Any]:
        """The settings of one."""
        if role not in _known():
            raise KeyError(role)
        settings: type[Any] = importlib.import_module(f"roles.{role}").Settings
        return settings


KNOWN = Roles()


@dataclass(frozen=True)
class Declaration:
    """What the inventory and the roles say of one host."""

    host: Host
    roles: tuple[str, ...]
    settings: dict[str, Any]

    @property
    def app(self) -> str:
        """The app's name."""
        name: str = self.settings["app"].name
        return name

    @property
    def runtime(self) -> str:
        """What runs the app."""
        runtime: str = self.settings["app"].runtime
        return runtime

    @property
    def arguments(self) -> dict[str, Any]:
        """What the verbs of its runtime are told beside what all are."""
        arguments: dict[str, Any] = getattr(self.settings.get(self.runtime), "arguments", {})
        return arguments

    @property
    def policy(self) -> Policy:
        """How switches are judged; DeclarationError for a host without an app."""
        if "release" not in self.settings:
            hint = f"its {VARIABLE} would have to name what runs an app"
            raise DeclarationError("no app is declared here", where=f"host {self.host.name}", hint=hint)
        policy: Policy = self.settings["release"].policy
        return policy

    @property
    def warnings(self) -> list[str]:
        """What is allowed and should not stay as it is: each role's settings may have a say."""
        return [text for settings in self.settings.values() for text in getattr(settings, "warnings", tuple)()]

    @cached_property
    def catalog(self) -> Catalog:
        """The resources of all roles, in order."""
        modules = {role: importlib.import_module(f"roles.{role}") for role in self.roles}
        return Catalog.of(
            (role, resource)
            for role, module in modules.items()
            for resource in module.resources(self.host, self.settings[role])
        )


def declare(host: Host) -> Declaration:
    """Read the roles and settings of a host; raises `DeclarationError` for anything that is not as declared."""
    host.check()
    roles = _roles(host)
    settings = resolve(KNOWN, host, ("app", "rollout", *roles))
    _refuse(host, settings["app"], roles)
    return Declaration(host, roles, settings)


def _refuse(host: Host, app: Any, roles: tuple[str, ...]) -> None:
    """Raise `DeclarationError` if the app is said to be what its runtime cannot do: nothing said of it is ignored."""
    if host.local and app.runtime != "kubernetes":
        what = f"ansible_connection local is not for app_runtime {app.runtime}: this machine is never touched as root"
        raise DeclarationError(what, where=host.where("ansible_connection"), hint="use ssh")
    module = importlib.import_module(f"roles.{app.runtime}") if app.runtime in roles else None
    usual = {field.name: field.default for field in fields(app)}
    for key, why in getattr(module, "REFUSES", {}).items():
        if getattr(app, key) not in (usual[key], {}):
            reason, _, hint = why.rpartition(": ")
            what = f"app_{key} is not for app_runtime {app.runtime}: {reason}"
            raise DeclarationError(what, where=host.where(f"app_{key}"), hint=hint)


@cache
def _known() -> list[str]:
    return sorted(path.stem for path in ROLES.glob("*.py") if path.stem != "__init__")


def _roles(host: Host) -> tuple[str, ...]:
    named = host.value(VARIABLE)
    if named is None:
        return _composed(host)
    if not isinstance(named, list) or not all(isinstance(role, str) for role in named):
        raise DeclarationError(f"{VARIABLE} must be a list of names", where=host.where(VARIABLE))
    for role in named:
        if role not in _known():
            hint = did_you_mean(role, _known()) or f"there are: {', '.join(_known())}"
            raise DeclarationError(f"unknown role {role}", where=host.where(VARIABLE), hint=hint)
    # A host may have roles without the app; with it, it must have what the app is said to be run by.
    needed = _composed(host)
    lacking = [role for role in needed if role in CHOSEN and role not in named]
    if lacking and any(roles[-1] in named for roles in RUNTIMES.values()):
        what = f"{VARIABLE} leaves out {', '.join(lacking)}, which app_runtime or app_proxy asks for"
        raise DeclarationError(what, where=host.where(VARIABLE), hint=f"write at least [{', '.join(needed)}]")
    return tuple(named)


def _composed(host: Host) -> tuple[str, ...]:
    """The roles that the app's settings call for; a value that names none is refused with all else that is wrong."""
    runtime = RUNTIMES.get(str(host.value("app_runtime")), RUNTIMES["systemd"])
    proxy = PROXIES.get(str(host.value("app_proxy")), ())
    # Before what switches: a proxy that cannot be had must not be found out when the app has changed already.
    return (*runtime[:-1], *proxy, runtime[-1])
