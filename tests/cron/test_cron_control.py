"""The control script and the keeper on a real host without systemd: what usually goes wrong with such scripts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from carboy.sandbox import HostOptions
from tests.cron.tiny import RELEASE, SECOND, Tiny
from tests.support.hosts import container_host
from tests.support.load import load

CRASHES = """for try in 1 2 3 4 5 6 7 8; do
    /srv/tiny/control cron-check | grep -q 'it crashes on purpose'
    [ -z "$(/srv/tiny/control cron-check)" ]
    read -r failures due </run/carboy/tiny/failures
    echo $((due - $(cut -d. -f1 /proc/uptime)))
    echo "$failures 0" >/run/carboy/tiny/failures
done"""
CRON_ENVIRONMENT = "env -i PATH=/usr/bin:/bin HOME=/root SHELL=/bin/sh LOGNAME=root"


@pytest.fixture(scope="module")
def host() -> Iterator[Tiny]:
    """A host with cron and sshd, and an app that only these tests look after."""
    with container_host(HostOptions(variant="cron", publish_http=True)) as made:
        yield Tiny(made)


@pytest.fixture
def installed(host: Tiny) -> Tiny:
    """A release that was chosen and does not run."""
    host.install()
    return host


@pytest.fixture
def tiny(installed: Tiny) -> Tiny:
    """The app, which serves."""
    installed.control("start")
    return installed


def test_start_status_stop(installed: Tiny) -> None:
    """Each verb says what is; status exits 1 for what should run, 3 for what was stopped by hand."""
    assert "is not well: the main process has ended" in installed.shell("/srv/tiny/control status || [ $? = 1 ]")
    assert installed.control("start").startswith("tiny serves: main process")
    assert installed.control("start").startswith("tiny already serves: main process")
    assert installed.control("status").endswith(f"of {RELEASE}, 0 restarts")
    assert installed.control("stop") == "tiny is stopped, until: /srv/tiny/control start"
    assert "tiny was stopped: 20" in installed.shell("/srv/tiny/control status || [ $? = 3 ]")
    assert not installed.running() and not installed.ask()


def test_what_the_app_is_given(tiny: Tiny) -> None:
    """It runs in the release's tree, as its own user, with the release's environment, limits and a strict umask."""
    uid = tiny.shell("id -u tiny")
    assert tiny.ask().split() == ['it"s', f"/srv/tiny/releases/{RELEASE}/tree", uid, str(0o027)]
    main = tiny.pids()["main"]
    status = tiny.shell(f"cat /proc/{main}/status; cat /proc/{main}/limits")
    assert "NoNewPrivs:\t1" in status and "CapBnd:\t0000000000000000" in status
    assert "Max open files            16384                16384" in status
    assert "Max processes             512                  512" in status


def test_a_check_is_silent_when_all_is_well(tiny: Tiny) -> None:
    """In the little environment of cron it says nothing and changes nothing: cron would mail each line."""
    before = tiny.pids()
    assert tiny.control("cron-check 2>&1", CRON_ENVIRONMENT) == ""
    assert tiny.pids() == before and not tiny.story()


def test_stale_pid_file(installed: Tiny) -> None:
    """Numbers of processes that are long gone keep nobody from starting."""
    installed.shell(f"mkdir -p /run/carboy/tiny; echo '999999 1 999998 1 1' >/run/carboy/tiny/{RELEASE}.pid")
    installed.control("start")
    assert installed.ask()


def test_reused_pid(installed: Tiny) -> None:
    """A number that another process has by now is not taken for the app, and that process is left alone."""
    other = installed.shell(
        "setpriv --reuid tiny --regid tiny --clear-groups setsid sleep 600 >/dev/null 2>&1 & echo $!"
    )
    installed.shell(f"mkdir -p /run/carboy/tiny; echo '{other} 1 {other} 1 1' >/run/carboy/tiny/{RELEASE}.pid")
    assert "is not well" in installed.shell("/srv/tiny/control status || true")
    installed.control("start")
    assert installed.ask()
    installed.control("stop")
    assert installed.running() == [int(other)]


def test_killed_main_process(tiny: Tiny) -> None:
    """Its keeper notes how it died and has the check look at once; the public socket stays open all the while."""
    before = tiny.kill("main")
    tiny.until("grep -q 'serves again' /srv/tiny/watchdog.log")
    assert tiny.pids()["main"] != before["main"]
    assert tiny.story()[0] == "the main process has ended (signal 9); starting it anew, try 1"
    assert tiny.control("status").endswith("1 restarts")
    assert before["keeper"] not in keepers(tiny)


def test_orphans_hold_the_port(tiny: Tiny) -> None:
    """With main process and keeper dead, the workers that still hold the port neither hinder the start nor stay."""
    before = tiny.kill("keeper", "main")
    orphans = tiny.running()
    assert orphans
    said = tiny.control("cron-check")
    assert "nobody saw how" in said and "serves again" in said
    assert not set(orphans) & set(tiny.running()) and before["main"] != tiny.pids()["main"]
    assert tiny.ask()


def test_a_lost_keeper(tiny: Tiny) -> None:
    """The app serves on without its keeper; the next check has a new one with a second socket take over."""
    assert tiny.host.http_port
    with load(tiny.host.http_port, "/health", clients=4) as result:
        tiny.kill("keeper")
        assert "nobody keeps the public socket" in tiny.control("cron-check")
    assert result.requests > 10
    # What waits in the queue of the old socket at the moment when that is closed is lost, if anything does.
    print(f"lost keeper: {len(result.failures)} of {result.requests} requests failed")
    assert len(result.failures) <= 4
    assert len(keepers(tiny)) == 1


def test_checks_at_the_same_moment(tiny: Tiny) -> None:
    """Of many checks one starts the app; the others have nothing to do and say nothing."""
    tiny.kill("keeper", "main")
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(tiny.control, ["cron-check"] * 8))
    assert [each for each in said if each] == [max(said)]
    assert tiny.story()[1:] == [f"serves again: main process {tiny.pids()['main']} of {RELEASE}"]
    assert len(keepers(tiny)) == 1


def test_a_check_that_was_killed(tiny: Tiny) -> None:
    """What it had put aside, to start another one, is what the next check finds serving."""
    before = tiny.pids()
    tiny.shell(f"cd /run/carboy/tiny; for end in pid sock keep out well; do mv {RELEASE}.$end {RELEASE}.old.$end; done")
    assert tiny.control("cron-check") == ""
    assert tiny.pids() == before and tiny.control("status")


def test_hanging(tiny: Tiny) -> None:
    """An app that is there and does not answer is replaced: the new one serves before the old one is ended."""
    before = tiny.pids()
    tiny.shell("pkill -STOP -u tiny")
    assert "no answer on /health: nothing within 1 s" in tiny.control("cron-check")
    assert before["main"] not in tiny.running() and tiny.ask()


def test_sick_app_keeps_serving(installed: Tiny) -> None:
    """Where the new instance is no better, the old one is kept: it may still answer something."""
    installed.install(start_timeout=1)
    installed.control("start")
    before = installed.pids()
    installed.shell("touch /srv/tiny/shared/sick")
    assert "/health answers 503" in installed.control("cron-check")
    assert installed.pids() == before and len(keepers(installed)) == 1
    installed.shell("rm /srv/tiny/shared/sick")
    assert installed.control("cron-check") == ""


def test_crash_loop_backs_off(tiny: Tiny) -> None:
    """Tries are 1, 2, 4 ... checks apart, 64 at most; in between a check does nothing and says nothing."""
    tiny.shell("touch /srv/tiny/shared/crash")
    tiny.kill("keeper", "main")
    waits = [int(each) for each in tiny.shell(CRASHES).split()]
    assert [round((wait + 10) / 60) for wait in waits] == [1, 2, 4, 8, 16, 32, 64, 64]
    tiny.shell("rm /srv/tiny/shared/crash")
    assert tiny.control("start").startswith("tiny serves")
    assert "failures" not in tiny.shell("ls /run/carboy/tiny")


def test_stopped_stays_stopped(tiny: Tiny) -> None:
    """No check starts what somebody stopped, not even after a boot; who starts it has it looked after again."""
    tiny.control("stop")
    tiny.shell("rm -rf /run/carboy/tiny")
    assert [tiny.control("cron-check") for _ in range(2)] == ["", ""]
    assert not tiny.running()
    tiny.control("start")
    assert tiny.ask()


def test_stop_is_graceful(tiny: Tiny) -> None:
    """A request that is under way is answered before the app ends."""
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(tiny.ask, "/slow")
        tiny.until("[ -n \"$(ss -Htn state established 'sport = :8000')\" ]")
        tiny.control("stop")
        assert answer.result()


def test_each_release_has_its_own_grace(installed: Tiny) -> None:
    """Who is ended by the next release, which gives its own less time, still has the time of its own release."""
    installed.install(stop_timeout=10)
    installed.control("start")
    following = installed.second(stop_timeout=0)
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(installed.ask, "/slow")
        installed.until("[ -n \"$(ss -Htn state established 'sport = :8000')\" ]")
        installed.shell(f"{following} end {RELEASE}")
        assert answer.result()


def test_a_stop_that_was_killed(installed: Tiny) -> None:
    """Its mark that the instance ends is not taken for one of the next instance."""
    mark = f"/run/carboy/tiny/{RELEASE}.ending"
    installed.shell(f"mkdir -p /run/carboy/tiny; touch {mark}")
    installed.control("start")
    assert installed.shell(f"ls {mark} 2>&1 || true").endswith("No such file or directory")


def test_next_release_beside_a_lost_keeper(tiny: Tiny) -> None:
    """The app itself is no stranger at its address: another release joins it there though nobody keeps the socket."""
    following = tiny.second(stop_timeout=2)
    tiny.kill("keeper")
    tiny.shell(f"{following} join; {following} end {RELEASE}")
    tiny.until(f"[ ! -e /run/carboy/tiny/{RELEASE}.pid ]")
    assert tiny.ask().split()[1] == f"/srv/tiny/releases/{SECOND}/tree"


def test_stop_is_hard_in_the_end(tiny: Tiny) -> None:
    """Who takes no notice of TERM is killed when the time is over, workers and all."""
    tiny.shell("touch /srv/tiny/shared/stubborn")
    began = time.monotonic()
    tiny.control("stop")
    assert not tiny.running() and time.monotonic() - began >= 2


def test_restart_under_load(tiny: Tiny) -> None:
    """The new instance joins at the socket before the old one ends: no request fails."""
    assert tiny.host.http_port
    before = tiny.pids()
    with load(tiny.host.http_port, "/slow", clients=8) as result:
        tiny.control("restart")
    assert not result.failures and result.requests
    assert before["main"] not in tiny.running() and len(keepers(tiny)) == 1


def test_low_ulimit(installed: Tiny) -> None:
    """A limit that cannot be had is named with both numbers, and nothing is started with less."""
    said = installed.refused("start", "ulimit -n 256;")
    assert "app_open_files is 16384, but this host allows 256 (ulimit -Hn)" in said
    assert not installed.running()


def test_port_taken(installed: Tiny) -> None:
    """A stranger at the public address is named as such, and left alone."""
    stranger = installed.shell("python3 -m http.server 8000 >/dev/null 2>&1 & echo $!")
    installed.until("ss -Htln | grep -q :8000")
    assert "another program listens there" in installed.refused("start")
    installed.shell(f"kill {stranger}")


def test_what_it_says_does_not_fill_the_memory(tiny: Tiny) -> None:
    """A check cuts what the app said beside its logs, and the app goes on writing there."""
    said = f"/run/carboy/tiny/{RELEASE}.out"
    assert tiny.shell(f"cat {said}") == "serving"
    tiny.shell(f"head -c 2000000 /dev/zero >>{said}")
    tiny.control("cron-check")
    assert tiny.shell(f"stat -c %s {said}") == "0"


def test_logs_are_reopened(tiny: Tiny) -> None:
    """After a rotation USR1 goes to main processes that expect it; a hook, or who only begins, does not die of it."""
    tiny.shell(f"cd /srv/tiny/releases/{RELEASE}; mkdir -p hooks; echo 'cat /srv/tiny/shared/fifo' >hooks/migration")
    tiny.shell("mkfifo -m 0666 /srv/tiny/shared/fifo")
    tiny.shell(f"/srv/tiny/releases/{RELEASE}/cron/control begin hook migration")
    tiny.control("reopen")
    tiny.until(f"grep -q reopened /run/carboy/tiny/{RELEASE}.out")
    tiny.shell("echo >/srv/tiny/shared/fifo")
    tiny.until(f"[ -e /run/carboy/tiny/{RELEASE}.hook.end ]")
    assert tiny.shell(f"cat /run/carboy/tiny/{RELEASE}.hook.end") == "exit 0"
    tiny.shell("touch /srv/tiny/shared/deaf")
    tiny.control("restart")
    before = tiny.pids()
    tiny.control("reopen")
    assert tiny.ask() and tiny.pids() == before and not tiny.story()


def test_unix_socket(installed: Tiny) -> None:
    """A socket at a path belongs to the app's group, and is gone when the app is stopped."""
    installed.install(listen="/run/tiny.sock")
    installed.control("start")
    assert installed.shell("stat -c '%U %G %a' /run/tiny.sock") == "root tiny 660"
    installed.control("stop")
    assert installed.shell("ls /run/tiny.sock 2>&1 || true").endswith("No such file or directory")


def test_only_root(tiny: Tiny) -> None:
    """Everybody else is told to use sudo, and usage to who types something else."""
    anybody = "setpriv --reuid tiny --regid tiny --clear-groups"
    assert "sudo /srv/tiny/control status" in tiny.refused("status", anybody)
    assert "start|stop|restart|status|cron-check" in tiny.refused("reload")


def keepers(tiny: Tiny) -> list[int]:
    """The keepers that live."""
    return [int(pid) for pid in tiny.shell("pgrep -f 'keep[.]py serve' -u root || true").split()]
