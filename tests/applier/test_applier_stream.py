"""The stream: events out, bytes in, each whole or not at all; and what is kept when the controller goes away."""

from __future__ import annotations

import io
import json
import os
from hashlib import sha256

import pytest

from carboy.applier.host import STATE, Host
from carboy.applier.resource import Failure
from carboy.applier.stream import MARKER, Disconnected, Stream
from tests.support.controller import Controller


def blobs(host: Host) -> dict[str, bytes]:
    """What lies in the host's store of bytes."""
    folder = host.at(STATE) / "blobs"
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_001])
def test_bytes_arrive_as_they_were(host: Host, controller: Controller, size: int) -> None:
    """Any bytes of any length survive, one after the other, and only they lie in the store."""
    data = bytes(index * 7 % 251 for index in range(size))
    wanted = [controller.offer(data), controller.offer(b"\n\n5\nother")]
    host.fetch([blob.need for blob in wanted])
    assert blobs(host) == {wanted[0].sha256: data, wanted[1].sha256: b"\n\n5\nother"}


def test_answers_to_questions_are_json(host: Host, controller: Controller) -> None:
    """The answer to a question is kept under a name of its own, and read as JSON."""
    controller.supply["wheels"] = b'["a", "b"]'
    question = {"wheels": {"python": "3.11"}}
    assert not host.has(question)
    host.fetch([question])
    assert host.answer(question) == ["a", "b"]
    assert not host.has({"wheels": {"python": "3.12"}})


def test_all_needs_are_asked_at_once(host: Host, controller: Controller) -> None:
    """However many bytes are lacking, one event asks for all of them."""
    host.fetch([controller.offer(text).need for text in (b"a", b"b", b"c")])
    controller.close()
    assert [len(event["needs"]) for event in controller.events] == [3]


def test_damaged_bytes_are_refused(host: Host, controller: Controller) -> None:
    """Bytes that do not have the digest that was asked for are a failure, and never get the name of the right ones."""
    blob = controller.offer(b"right")
    controller.supply[blob.sha256] = b"wrong"
    with pytest.raises(Failure, match="damaged"):
        host.fetch([blob.need])
    assert list(blobs(host)) == [blob.sha256 + ".part"]
    assert not host.has(blob.need)


@pytest.mark.parametrize("sent", [b"", b"100\n", b"100\nonly a part", b"10"])
def test_a_connection_lost_in_the_middle(host: Host, controller: Controller, sent: bytes) -> None:
    """Wherever the bytes end too early, the host knows that it has nothing: only a .part is left."""
    need = {"blob": "ab" * 32}
    controller.send(sent)
    controller.hang_up()
    with pytest.raises(Disconnected):
        host.fetch([need])
    assert list(blobs(host)) == ["ab" * 32 + ".part"]


def test_answers_before_the_loss_are_asked_for_again(host: Host, controller: Controller) -> None:
    """If one of several answers is lost none of them counts, and the next run asks for all."""
    needs = [{"blob": sha256(b"first").hexdigest()}, {"blob": "cd" * 32}]
    controller.send(b"5\nfirst7\nsec")
    controller.hang_up()
    with pytest.raises(Disconnected):
        host.fetch(needs)
    assert [host.has(need) for need in needs] == [False, False]


def test_events_survive_a_controller_that_is_gone(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Once the channel is broken events still reach the run file, in full and in order."""
    reader, writer = os.pipe()
    os.close(reader)
    path = tmp_path_factory.mktemp("runs") / "run.ndjson"
    stream = Stream(io.BytesIO(), writer)
    with path.open("w") as record:
        stream.record = record
        for number in range(3):
            stream.emit("progress", text=number)
    os.close(writer)
    assert [json.loads(line)["text"] for line in path.read_text().splitlines()] == [0, 1, 2]


def test_a_peer_that_stops_reading_does_not_stop_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """When nobody takes the events any more, the host gives up on the channel after a while, not on its work."""
    monkeypatch.setattr("carboy.applier.stream.STALLED_SECONDS", 0.05)
    reader, writer = os.pipe()
    stream = Stream(io.BytesIO(), writer)
    stream.emit("progress", text="x" * 1_000_000)
    assert stream.descriptor is None
    os.close(reader)
    os.close(writer)


def test_the_events_begin_with_a_line_of_their_own() -> None:
    """The marker stands alone on its line, also after a login shell that left a line unfinished."""
    reader, writer = os.pipe()
    os.write(writer, b"Welcome!")
    Stream(io.BytesIO(), writer).open()
    os.close(writer)
    with os.fdopen(reader, "rb") as lines:
        assert MARKER in lines.read().decode().splitlines()


def test_a_full_disk_does_not_silence_a_run(host: Host, controller: Controller) -> None:
    """What no longer fits into the run file still reaches the controller."""
    with open("/dev/full", "w") as full:
        host.stream.record = full
        host.stream.emit("end", exit=1)
        host.stream.record = None
    controller.close()
    assert [event["event"] for event in controller.events] == ["end"]


def test_a_controller_that_is_busy(host: Host, controller: Controller) -> None:
    """Empty lines before an answer are not the answer; in one they are."""
    controller.supply["question"] = b"\n\n"
    controller.send(b"\n\n")
    host.fetch([{"question": 1}])
    assert host.blob({"question": 1}).read_bytes() == b"\n\n"


@pytest.mark.parametrize("said", [b"", b"\n", b"100\n", b"100\nhalf"])
def test_a_controller_that_falls_silent(
    host: Host, controller: Controller, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    """Whoever says nothing for long is gone, though the connection never ended."""
    monkeypatch.setattr("carboy.applier.stream.SILENT_SECONDS", 1)
    controller.send(said)
    with pytest.raises(Disconnected):
        host.fetch([{"unanswered": 1}])
