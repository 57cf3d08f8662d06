"""A guarded change: its parts as one resource, and a switch that puts back all of it, once, unless it is confirmed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from carboy.applier import host as machine
from carboy.applier.apply import decode
from carboy.applier.deadman import BOOT_FILE, BOOT_LINK, Deadman
from carboy.applier.file import File
from carboy.applier.guarded import Guarded, Part
from carboy.applier.host import Host
from carboy.applier.link import Link
from carboy.applier.pending import FOLDER, pending
from carboy.applier.resource import Blob, Failure, Locked, Stranded
from carboy.catalog import Catalog, encode
from tests.support.controller import Controller
from tests.support.trees import OWNED, fill

SYSTEMD_RUN = 'ls "$FOLDER" >"$FOLDER.seen"; exit $(cat "$FOLDER.exit" 2>/dev/null || echo 0)'
CUT_SHORT = '#!/bin/sh\n[ "$1" = -rf ] || exec /bin/rm "$@"\n/bin/rm "$2/0"\nkill -9 $PPID\n'
FAKES = {"systemd-run": SYSTEMD_RUN, "systemctl": "", "journalctl": ""}


@pytest.fixture
def etc(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The host's /etc with a file and a link in it; in the place of systemd stand programs that only note the call."""
    folder = str(host.at(FOLDER))
    for name, script in FAKES.items():
        program = fill(tmp_path, {f"bin/{name}": f"#!/bin/sh\nFOLDER={folder}\n{script}\n"}) / "bin" / name
        program.chmod(0o755)
    monkeypatch.setitem(machine.ENVIRONMENT, "PATH", f"{tmp_path}/bin:{machine.ENVIRONMENT['PATH']}")
    (host.root / "run").mkdir()
    fill(host.root, {"etc/systemd/system/a.service": "", "etc/rules": "old\n"})
    (host.root / "etc/rules").chmod(0o640)
    (host.root / "etc/alias").symlink_to("rules")
    return host.root / "etc"


@pytest.fixture
def guarded(host: Host, controller: Controller) -> Guarded:
    """Three parts: a file that is there, one that is not, and a link that leads elsewhere."""
    contents = [controller.offer(text) for text in (b"new\n", b"more\n")]
    parts = (
        Part(File("/etc/rules", contents[0], **OWNED), undo=f"echo undone >>{host.root}/undone"),
        Part(File("/etc/extra", contents[1], **OWNED), keep="echo kept >kept"),
        Part(Link("/etc/alias", "extra")),
    )
    return Guarded("access", parts, 30.0)


def facts(etc: Path) -> dict[str, tuple[str, int]]:
    """What the parts are about, with the modes; nothing else may lie beside them."""
    paths = [path for path in etc.iterdir() if path.name != "systemd"]
    return {path.name: (_text(path), path.lstat().st_mode) for path in paths}


def _text(path: Path) -> str:
    return str(path.readlink()) if path.is_symlink() else path.read_text()


def change(host: Host, guarded: Guarded) -> str:
    """Make the change, and leave it waiting for its confirmation; returns the token."""
    while needs := list(guarded.lacks(host)):
        host.fetch(needs)
    with Deadman(host).over(list(guarded.parts), guarded.seconds) as token:
        for part in guarded.parts:
            part.change(host)
    assert not any(part.resource.drift(host) for part in guarded.parts)
    return token


def fire(host: Host, *mode: str) -> int:
    """Let the time be up: what the timer would run, with the same effect."""
    script = host.at(FOLDER) / "restore"
    return subprocess.run(["sh", script, *mode], env=machine.ENVIRONMENT, stderr=subprocess.DEVNULL).returncode


def left(host: Host) -> list[str]:
    """What there still is of the switch."""
    return [path for path in (FOLDER, BOOT_FILE, BOOT_LINK) if host.at(path).exists() or host.at(path).is_symlink()]


@pytest.mark.usefixtures("etc")
def test_the_parts_drift_as_one(host: Host, guarded: Guarded) -> None:
    """Each drift of a part is one of the whole, under the part's title; needs and diffs are those of the parts."""
    drift = guarded.drift(host)
    assert {key.rpartition(" ")[0] for key in drift} == {"file /etc/rules", "file /etc/extra", "link /etc/alias"}
    assert drift["link /etc/alias target"] == ("rules", "extra")
    assert len(list(guarded.lacks(host))) == len(list(guarded.shows(host))) == 2
    host.fetch(guarded.lacks(host))
    assert "-old\n+new\n" in guarded.diff(host) and "+more\n" in guarded.diff(host)


def test_it_travels_with_its_parts() -> None:
    """What arrives on the host is what was declared, and the modules of the parts travel too."""
    declared = Guarded("access", (Part(File("/etc/x", Blob("0" * 64, 1)), do="true"), Part(Link("/a", "b"))), 5.0)
    assert decode(encode(declared)) == declared
    assert {"guarded", "file", "link"} <= set(Catalog.of([("access", declared)]).modules)


def test_unconfirmed_it_goes_back(host: Host, etc: Path, guarded: Guarded) -> None:
    """When the time is up content, modes and links are as before, what was absent is gone, and so is the switch."""
    before = facts(etc)
    change(host, guarded)
    assert pending(host) and len(left(host)) == 3
    assert fire(host) == 0
    assert facts(etc) == before
    assert left(host) == [] and not pending(host)
    assert (host.root / "undone").read_text() == "undone\n"
    assert (
        "before run r1 was put back: /etc/rules /etc/extra /etc/alias"
        in host.at("/var/lib/carboy/restored.log").read_text()
    )


def test_confirmed_it_stays(host: Host, etc: Path, guarded: Guarded) -> None:
    """After a confirmation nothing is undone and nothing of the switch is left; the timer would find nothing to run."""
    token = change(host, guarded)
    after = facts(etc)
    Deadman(host).confirm(token)
    assert facts(etc) == after
    assert left(host) == [] and not (host.root / "undone").exists()


def test_a_late_confirmation_is_refused(host: Host, etc: Path, guarded: Guarded) -> None:
    """Once the host has begun to put things back, the token counts no more, and it goes on to the end."""
    before, token = facts(etc), change(host, guarded)
    (host.at(FOLDER) / "token").rename(host.at(FOLDER) / "fired")
    with pytest.raises(Failure, match="too late"):
        Deadman(host).confirm(token)
    assert fire(host) == 0
    assert facts(etc) == before
    with pytest.raises(Failure, match="too late"):
        Deadman(host).confirm(token)


def test_a_confirmation_that_was_cut_short_still_counts(host: Host, etc: Path, guarded: Guarded) -> None:
    """Where the confirmation came, the timer only cleans up after it."""
    change(host, guarded)
    after = facts(etc)
    (host.at(FOLDER) / "token").rename(host.at(FOLDER) / "confirmed")
    assert fire(host) == 0
    assert facts(etc) == after and left(host) == []


@pytest.mark.usefixtures("etc")
def test_another_token_confirms_nothing(host: Host, guarded: Guarded) -> None:
    """Only the run that was asked can confirm."""
    change(host, guarded)
    with pytest.raises(Failure, match="too late"):
        Deadman(host).confirm("another")
    assert pending(host)


def test_it_goes_back_at_boot(host: Host, etc: Path, guarded: Guarded) -> None:
    """At boot nothing runs yet, so the files go back and nothing is made to read them."""
    before = facts(etc)
    change(host, guarded)
    assert host.at(BOOT_LINK).is_symlink()
    assert str(host.at(FOLDER) / "restore") + " boot" in host.at(BOOT_FILE).read_text()
    assert fire(host, "boot") == 0
    assert facts(etc) == before
    assert left(host) == [] and not (host.root / "undone").exists()


def test_a_failed_return_is_tried_again(host: Host, etc: Path, guarded: Guarded) -> None:
    """What cannot be put back keeps the switch as it is, and can be confirmed no more: the next attempt does it."""
    before, token = facts(etc), change(host, guarded)
    (etc / "rules").unlink()
    (etc / "rules/in the way").mkdir(parents=True)
    assert fire(host) == 1
    assert pending(host) and len(left(host)) == 3
    with pytest.raises(Failure, match="too late"):
        Deadman(host).confirm(token)
    (etc / "rules/in the way").rmdir()
    (etc / "rules").rmdir()
    assert fire(host) == 0
    assert facts(etc) == before and left(host) == []


def test_a_cleaning_that_was_cut_short_goes_on(host: Host, etc: Path, guarded: Guarded, tmp_path: Path) -> None:
    """Killed after all is back, but before the switch is gone, it does not begin again with copies that are lost."""
    before = facts(etc)
    change(host, guarded)
    killer = fill(tmp_path, {"bin/rm": CUT_SHORT}) / "bin/rm"
    killer.chmod(0o755)
    assert fire(host) < 0
    killer.unlink()
    assert left(host) == [FOLDER] and not pending(host)
    assert fire(host) == 0
    assert facts(etc) == before and left(host) == []


def test_a_lost_copy_removes_nothing(host: Host, etc: Path, guarded: Guarded) -> None:
    """That a copy is missing is not taken for a file that was never there."""
    change(host, guarded)
    (host.at(FOLDER) / "0").unlink()
    assert fire(host) == 1
    assert (etc / "rules").read_text() == "new\n"


def test_a_failing_part_takes_all_back_at_once(host: Host, etc: Path, guarded: Guarded) -> None:
    """A part that fails is the error, after what the parts before it changed is back and the switch is gone."""
    before = facts(etc)
    broken = Guarded("access", (*guarded.parts, Part(Link("/etc/alias", "rules"), do="false")), 30.0)
    with pytest.raises(Failure, match="false exited 1"):
        change(host, broken)
    assert facts(etc) == before and left(host) == []


@pytest.mark.parametrize("broken", ["timer", "keep"])
def test_without_a_switch_there_is_no_change(host: Host, etc: Path, guarded: Guarded, broken: str) -> None:
    """Where the switch cannot be armed, nothing is changed and nothing is left."""
    before = facts(etc)
    if broken == "timer":
        fill(host.at(FOLDER).parent, {"deadman.exit": "1"})
    else:
        guarded = Guarded("access", (Part(guarded.parts[0].resource, keep="false"),), 30.0)
    with pytest.raises(Failure, match="systemd-run exited 1" if broken == "timer" else "sh exited 1"):
        change(host, guarded)
    assert facts(etc) == before and left(host) == []


@pytest.mark.usefixtures("etc")
def test_the_token_comes_last(host: Host, guarded: Guarded) -> None:
    """When the timer starts all copies are there and no token is: a run killed here has nothing put back."""
    change(host, guarded)
    assert host.at(FOLDER + ".seen").read_text().split() == ["0", "2", "kept", "restore"]


@pytest.mark.usefixtures("etc")
def test_one_change_at_a_time(host: Host, guarded: Guarded) -> None:
    """As long as a change is not confirmed another one is refused, and the first can still be confirmed."""
    token = change(host, guarded)
    with pytest.raises(Locked, match="another run's change"):
        change(host, guarded)
    Deadman(host).confirm(token)


def test_leftovers_of_a_killed_run_are_no_obstacle(host: Host, etc: Path, guarded: Guarded) -> None:
    """A run killed before it had armed the switch leaves a folder, which the next one takes over."""
    fill(host.at(FOLDER), {"1": "stale", "restore": "exit 1"})
    guarded.drift(host)
    before = facts(etc)
    change(host, guarded)
    assert fire(host) == 0
    assert facts(etc) == before


@pytest.mark.usefixtures("etc")
def test_a_switch_that_nothing_drives_is_said(host: Host, guarded: Guarded) -> None:
    """Where an unconfirmed change is left and no timer runs, reading fails with the command to type."""
    change(host, guarded)
    with pytest.raises(Stranded) as caught:
        guarded.drift(host)
    assert caught.value.hint.endswith("sh /var/lib/carboy/deadman/restore")


@pytest.mark.usefixtures("etc")
def test_what_cannot_be_put_back_is_not_waited_for_forever(
    host: Host, guarded: Guarded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the host tries in vain again and again, the run ends and says so, and the host goes on trying."""
    change(host, guarded)
    (host.at(FOLDER) / "0").unlink()
    assert fire(host) == 1
    fill(tmp_path, {"bin/systemctl": "#!/bin/sh\nprintf 'Id=carboy-deadman.service\\nActiveState=activating\\n'\n"})
    monkeypatch.setattr("carboy.applier.pending.TRIES", 1)
    with pytest.raises(Stranded, match="could not be put back"):
        guarded.drift(host)
    assert pending(host)
