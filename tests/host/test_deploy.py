"""The life of an app on a real host, in order: each test begins where the last one ended, under load throughout."""

from __future__ import annotations

import pytest

from tests.host.conftest import Site
from tests.support.load import load


def test_first_deploy(fresh: Site) -> None:
    """A machine that has sshd and python3 serves the app after one command."""
    outcome = fresh.invoke("deploy")
    [cutover] = outcome.of("cutover")
    assert cutover["before"] is None
    assert fresh.serving() == [cutover["release"]]
    with load(fresh.port, "/health", clients=1) as result:
        pass
    assert result.releases == [cutover["release"]]


def test_unchanged(deployed: Site) -> None:
    """A second deploy changes nothing and says so; a plan finds no drift."""
    before = deployed.serving()
    outcome = deployed.invoke("deploy")
    assert outcome.changed == []
    assert {event["status"] for event in outcome.of("resource")} == {"ok"}
    deployed.invoke("plan", expect=0)
    assert deployed.serving() == before


def test_plan_touches_nothing(deployed: Site) -> None:
    """A plan for a change exits 2, shows the change, and leaves no trace on the host."""
    listing = "find /srv /etc /var/lib/carboy/runs -newer /srv/hello/current -not -path '*/blobs*' | sort"
    before = deployed.shell(listing)
    outcome = deployed.invoke("plan", "-e", "gunicorn_workers=3", expect=2)
    [release] = [event for event in outcome.of("resource") if event["resource"].startswith("release")]
    assert "-workers = 2\n+workers = 3\n" in release["diff"]
    assert deployed.shell(listing) == before


@pytest.mark.parametrize(
    "change",
    ["app", "config", "requirements", "unit"],
)
def test_change_under_load(deployed: Site, change: str) -> None:
    """A change of code, configuration, packages or unit reaches the public without one failed request."""
    before = deployed.serving()
    {
        "app": lambda: deployed.edit("app/wsgi.py", "app = create_app()", "app = create_app()\n"),
        "config": lambda: deployed.variables.update(gunicorn_keepalive=3),
        "requirements": lambda: deployed.edit("app/requirements.txt", "flask", "itsdangerous==2.2.0\nflask"),
        "unit": lambda: deployed.variables.update(app_tasks_max=500),
    }[change]()
    with load(deployed.port) as result:
        outcome = deployed.invoke("deploy")
    [cutover] = outcome.of("cutover")
    assert result.failures == []
    assert result.releases == [*before, cutover["release"]]
    assert deployed.serving() == [cutover["release"]]


def test_rollback_and_back(deployed: Site) -> None:
    """A rollback brings the release before, a second one the release after it, without one failed request."""
    [newest] = deployed.serving()
    with load(deployed.port) as result:
        [back] = deployed.invoke("rollback").of("cutover")
        [forth] = deployed.invoke("rollback").of("cutover")
    assert result.failures == []
    assert (back["before"], forth["before"], forth["release"]) == (newest, back["release"], newest)
    assert deployed.serving() == [newest]
    assert deployed.invoke("deploy").changed == []


def test_broken_app(deployed: Site) -> None:
    """Code that does not import never meets the public; the error shows the app's own words."""
    before = deployed.serving()
    source = (deployed.app / "app/wsgi.py").read_text()
    deployed.edit("app/wsgi.py", "app = create_app()", "import a_module_that_is_not_there\napp = create_app()")
    with load(deployed.port) as result:
        outcome = deployed.invoke("deploy", expect=1)
    (deployed.app / "app/wsgi.py").write_text(source)
    assert result.failures == []
    assert result.releases == before == deployed.serving()
    [failed] = outcome.of("failed")
    assert "No module named 'a_module_that_is_not_there'" in failed["details"]
    assert deployed.invoke("deploy").changed == []


def test_unhealthy_app(deployed: Site) -> None:
    """An app whose health path does not answer well is refused in the same way."""
    before = deployed.serving()
    outcome = deployed.invoke("deploy", "-e", "app_health=/nowhere", expect=1)
    assert "404" in outcome.of("failed")[0]["what"]
    assert deployed.serving() == before


def test_after_a_crash_loop(deployed: Site) -> None:
    """An app that crashed until systemd gave it up, its socket included, is brought back by a deploy of the same."""
    before = deployed.serving()
    unit = f"hello@{before[0]}.service"
    deployed.shell(
        f"until systemctl is-failed -q {unit}; do systemctl kill -s KILL --kill-who=main {unit} || true; done"
    )
    outcome = deployed.invoke("deploy")
    assert [resource for resource in outcome.changed if resource.startswith("cutover")] == outcome.changed
    assert deployed.serving() == before
    with load(deployed.port, "/health", clients=1) as result:
        pass
    assert result.releases == before


def test_half_switched_host(deployed: Site) -> None:
    """What a run leaves that died after the switch and before its records is found and made whole by the next."""
    deployed.shell("rm /srv/hello/current")
    deployed.invoke("plan", expect=2)
    assert deployed.invoke("deploy").changed == ["cutover hello"]
    assert deployed.invoke("deploy").changed == []


def test_sick_release_that_serves_alone(deployed: Site) -> None:
    """Where there is nothing to go back to, a breach leaves running what ran, and says so."""
    [release] = deployed.serving()
    deployed.shell(f"rm /srv/hello/current; systemctl kill --signal=STOP hello@{release}.service")
    outcome = deployed.invoke("deploy", expect=1)
    assert deployed.serving() == [release]
    assert "left running" in outcome.of("failed")[0]["hint"]
    deployed.shell(f"systemctl kill --signal=CONT hello@{release}.service")
    assert deployed.invoke("deploy").changed == ["cutover hello"]
