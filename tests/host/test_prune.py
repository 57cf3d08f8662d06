"""What is kept and what goes on a real host, deploy after deploy."""

from __future__ import annotations

from tests.host.conftest import Outcome, Site


def pruned(outcome: Outcome) -> list[str]:
    """What a run said of pruning."""
    return [event["text"] for event in outcome.of("progress") if event["text"].startswith("pruned ")]


def releases(site: Site) -> list[str]:
    """The releases that lie on the host, complete or not."""
    return site.shell("ls /srv/hello/releases").split()


def changed(site: Site) -> str:
    """Deploy a change; returns the release that serves then."""
    site.edit("app/wsgi.py", "app = create_app()", "app = create_app()\n")
    [cutover] = site.invoke("deploy").of("cutover")
    return str(cutover["release"])


def test_the_last_healthy_ones_stay(deployed: Site) -> None:
    """Of four healthy releases two stay, the failed one between them goes, with the venv that it alone used."""
    deployed.variables.update(release_keep=2)
    good = [*deployed.serving(), changed(deployed)]
    deployed.edit("app/requirements.txt", "flask", "itsdangerous==2.2.0\nflask")
    deployed.edit("app/wsgi.py", "app = create_app()", "raise SystemExit\napp = create_app()")
    deployed.invoke("deploy", expect=1)
    assert len(releases(deployed)) == 3 and len(deployed.shell("ls /srv/hello/venvs").split()) == 2
    deployed.edit("app/requirements.txt", "itsdangerous==2.2.0\n", "")
    deployed.edit("app/wsgi.py", "raise SystemExit\n", "")
    good.append(changed(deployed))
    assert releases(deployed) == good[-2:]
    assert len(deployed.shell("ls /srv/hello/venvs").split()) == 1


def test_the_one_before_stays_whatever_is_newer(deployed: Site) -> None:
    """After a rollback the next deploy keeps what it replaces, not what was newer; it says how much it freed."""
    older, _ = releases(deployed)
    deployed.invoke("rollback")
    deployed.edit("app/wsgi.py", "app = create_app()", "app = create_app()\n")
    outcome = deployed.invoke("deploy")
    assert releases(deployed) == [older, outcome.of("cutover")[0]["release"]]
    [said] = pruned(outcome)
    assert said.startswith("pruned 1 release and 0 venvs: 0.") and said.endswith(" inodes")


def test_what_cannot_be_removed(deployed: Site) -> None:
    """An old folder that resists makes no failure of a switch that went well; it never counts as a release again."""
    oldest, _ = releases(deployed)
    stuck = f"/srv/hello/releases/{oldest}/tree/app"
    deployed.shell(f"mount -t tmpfs none {stuck}")
    deployed.edit("app/wsgi.py", "app = create_app()", "app = create_app()\n")
    [said] = pruned(deployed.invoke("deploy"))
    assert "; not removed: [Errno 16]" in said
    assert oldest not in deployed.invoke("status").of("status")[0]["releases"]
    deployed.shell("umount " + stuck)
    changed(deployed)
    assert oldest not in releases(deployed)
