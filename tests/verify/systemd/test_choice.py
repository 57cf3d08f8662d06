"""The release that serves: one, the one that was chosen, under its own units."""

from __future__ import annotations

from testinfra.host import Host

from carboy.verify import judge
from carboy.verify.target import Target


def test_one_release_serves(target: Target) -> None:
    """Exactly one release serves, and it is the one that `current` points to."""
    listed = target.output("systemctl list-units --plain --no-legend --state=active %s", f"{target.app.name}@*.service")
    serving = [line.split()[0] for line in listed.splitlines()]
    judge.same({"serving": serving}, {"serving": [target.unit]}, f"releases of {target.app.name}", target.repair)


def test_the_socket_starts_that_release(target: Target) -> None:
    """The public socket and the next boot would start that same release."""
    triggered = target.show(target.socket, "Triggers")["Triggers"]
    judge.same({"starts": triggered}, {"starts": target.unit}, target.socket, target.repair)


def test_units_are_as_released(host: Host, target: Target) -> None:
    """The unit files in /etc/systemd/system are those that the release brought."""
    differing = [
        name
        for name in target.output("ls %s", f"{target.folder}/units").split()
        if host.run("cmp -s %s %s", f"{target.folder}/units/{name}", f"/etc/systemd/system/{name}").failed
    ]
    judge.none(differing, "unit files that somebody changed in /etc/systemd/system", target.repair)
