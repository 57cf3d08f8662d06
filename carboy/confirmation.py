"""The answer to a host that asks whether it can still be reached: a new connection, a new login, root anew."""

from __future__ import annotations

from typing import Any

from carboy.errors import CarboyError
from carboy.inventory import Host
from carboy.payload import pack
from carboy.remote import Event, Need, conduct


def confirm(host: Host, asked: Event, args: dict[str, Any]) -> Event:
    """Try to get in, and let the change stand if that works; returns the event that says how it went."""
    said: list[Event] = []
    try:
        code = conduct(host, lambda: pack("confirm", {**args, "token": asked["token"]}), _nothing, said.append)
        why = next((event["what"] for event in said if event["event"] == "failed"), f"exit {code}" if code else "")
    except CarboyError as error:
        why = error.what
    if not why:
        return {"event": "progress", "text": "confirmed over a new connection"}
    text = f"not confirmed: {why}; within {asked['seconds']:g} s the host puts back what was there"
    return {"event": "unconfirmed", "text": text}


def _nothing(need: Need) -> bytes:
    raise CarboyError(f"a confirmation needs nothing, but the host asked for {need}")
