"""Many hosts at once: results as they come, in one thread, and never more under way than asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from carboy.fleet.crew import Crew, Sink

Work = Callable[[Sink], Any]


def crew(work: dict[str, Work], forks: int = 8) -> tuple[Crew[Any], list[tuple[str, str]]]:
    """A crew, and what is heard of it."""
    heard: list[tuple[str, str]] = []
    return Crew(work, lambda host, event: heard.append((host, event["event"])), forks), heard


def test_a_slow_host_delays_no_other() -> None:
    """The results of the others are there while a host still works, and its own comes when it is done."""
    gate = threading.Event()

    def slow(_: Sink) -> str:
        assert gate.wait(20)
        return "slow"

    hosts, _ = crew({"slow": slow, "quick": lambda _: "quick", "other": lambda _: "other"})
    results = iter(hosts)
    assert {next(results), next(results)} == {"quick", "other"}
    gate.set()
    assert list(results) == ["slow"]


def test_words_come_before_the_result_and_in_this_thread() -> None:
    """What a host says is heard by who iterates, in order, and before its result is told."""
    threads = set()

    def talk(sink: Sink) -> str:
        for name in ("one", "two", "three"):
            sink({"event": name})
        return "done"

    heard: list[str] = []

    def hear(_: str, event: dict[str, Any]) -> None:
        threads.add(threading.current_thread())
        heard.append(event["event"])

    for result in Crew({"h": talk}, hear, 1):
        heard.append(result)
    assert heard == ["one", "two", "three", "done"]
    assert threads == {threading.current_thread()}


def test_no_more_than_the_forks_are_under_way() -> None:
    """With so many forks, so many hosts work at once; the next begins when one is done, in the order given."""
    begun: list[str] = []
    barrier = threading.Barrier(2, timeout=20)
    most = now = 0
    lock = threading.Lock()

    def work(host: str) -> Work:
        def do(_: Sink) -> str:
            nonlocal most, now
            with lock:
                begun.append(host)
                now += 1
                most = max(most, now)
            barrier.wait()
            with lock:
                now -= 1
            return host

        return do

    hosts, _ = crew({f"h{number}": work(f"h{number}") for number in range(6)}, forks=2)
    assert sorted(hosts) == [f"h{number}" for number in range(6)]
    assert most == 2
    assert {*begun[:2]} == {"h0", "h1"}


def test_stop_begins_with_no_further_host() -> None:
    """Those under way come to their end; the others are named and never begun."""
    begun: list[str] = []
    left: list[str] = []
    gate = threading.Event()

    def first(sink: Sink) -> str:
        sink({"event": "begun"})
        assert gate.wait(20)
        return "h0"

    def hear(_host: str, _event: dict[str, Any]) -> None:
        left.extend(hosts.stop())
        gate.set()

    others: dict[str, Work] = {f"h{number}": lambda _: begun.append("other") or "other" for number in range(1, 4)}
    hosts = Crew({"h0": first, **others}, hear, 1)
    assert (list(hosts), left, begun) == (["h0"], ["h1", "h2", "h3"], [])


def test_a_fault_is_raised_where_it_is_waited_for() -> None:
    """An exception that the work lets through is not lost in its thread."""

    def broken(_: Sink) -> str:
        raise ZeroDivisionError

    hosts, _ = crew({"h": broken})
    with pytest.raises(ZeroDivisionError):
        list(hosts)


def test_nobody_at_all() -> None:
    """No hosts are no work."""
    hosts, heard = crew({})
    assert (list(hosts), heard, hosts.stop()) == ([], [], [])
