"""What may be secret stands nowhere that others than root and the app can read."""

from __future__ import annotations

import re

from testinfra.host import Host

from carboy.verify import judge
from carboy.verify.target import Target

SHORTEST = 4
OWN_VARIABLES = {"CARBOY_RELEASE", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}


def test_unit_environment(target: Target) -> None:
    """The unit's own environment, which every user can read, holds nothing of the app's."""
    words = target.show(target.unit, "Environment")["Environment"].split()
    # Where a secret lies is none.
    lying = {word for word in words if re.fullmatch(rf"(\w+)_FILE=/run/credentials/{target.unit}/\1", word)}
    foreign = sorted({word.partition("=")[0] for word in {*words} - lying} - OWN_VARIABLES)
    judge.none(
        foreign, f"variables that everybody reads with systemctl show {target.unit}", "put them into app_secrets"
    )


def test_secret_values(host: Host, target: Target) -> None:
    """No secret of the app stands in a unit, a command line, the history or the release's own records."""
    exposed = "\n".join(
        [_readable(host, target), *(" ".join(each["argv"]) for each in target.ask("look.processes", target.unit))]
    )
    judge.none(
        [name for name, value in _secrets(target) if value in exposed], "secrets that everybody can read", target.repair
    )


def _secrets(target: Target) -> list[tuple[str, str]]:
    """The secrets that are long enough not to be found by chance; they are compared here and never sent."""
    values = target.app.secret_values(target.declared.host)
    return [(name, value) for name, value in values.items() if len(value) >= SHORTEST]


def _readable(host: Host, target: Target) -> str:
    """All that any user of the host may read about the app, but for its own code."""
    files = "cat %s/*.* %s/units/* %s/history.jsonl; systemctl cat -- %s; systemctl show -- %s"
    return str(host.run(files, target.folder, target.folder, target.app.home, target.unit, target.unit).stdout)
