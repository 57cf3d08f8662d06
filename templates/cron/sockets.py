"""The app's listening sockets: opened, handed from one keeper to the next, and opened beside one that nobody keeps."""

from __future__ import annotations

import errno
import grp
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

from instance import Refused

PATIENCE_SECONDS = 2.0
LONGEST_ADDRESS = 256
Settings = dict[str, Any]


def public_socket(settings: Settings, folder: Path, *, shared: bool) -> socket.socket:
    """The app's public socket: from one of the keepers, else a new one.

    With `shared` an instance listens there whose keeper is gone: a second socket beside that one takes over.
    """
    public = _handed_over(settings["listen"], folder) or _opened(settings, shared=shared)
    # These may have been others before.
    public.listen(settings["backlog"])
    if settings["listen"].startswith("/"):
        _admit(Path(settings["listen"]), settings)
    return public


def listen_at(path: Path, settings: Settings | None = None) -> socket.socket:
    """A unix socket in the place of an older one, without a moment in between; for root alone where nothing is said."""
    draft = path.with_name(path.name + ".new")
    with suppress(FileNotFoundError):
        draft.unlink()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(draft))
    draft.chmod(0o600)
    if settings:
        _admit(draft, settings)
    listener.listen()
    draft.rename(path)
    return listener


def hand_out(keeping: socket.socket, public: socket.socket, listen: str) -> None:
    """Give the public socket to the next one who asks for it."""
    asking, _ = keeping.accept()
    with asking, suppress(OSError):
        asking.settimeout(PATIENCE_SECONDS)
        socket.send_fds(asking, [listen.encode()], [public.fileno()])


def _handed_over(listen: str, folder: Path) -> socket.socket | None:
    """The socket of that address from the first keeper who has it."""
    for place in sorted(folder.glob("*.keep")):
        with suppress(OSError), socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(PATIENCE_SECONDS)
            asking.connect(str(place))
            address, descriptors, _, _ = socket.recv_fds(asking, LONGEST_ADDRESS, 1)
            given = [socket.socket(fileno=descriptor) for descriptor in descriptors]
            if given and address == listen.encode():
                return given[0]
    return None


def _opened(settings: Settings, *, shared: bool) -> socket.socket:
    listen = settings["listen"]
    try:
        return (
            _opened_path(Path(listen), settings, shared=shared)
            if listen.startswith("/")
            else _opened_port(listen, shared=shared)
        )
    except OSError as problem:
        taken = problem.errno == errno.EADDRINUSE
        why = "another program listens there; see: ss -ltnp" if taken else problem.strerror
        raise Refused(f"the public address {listen} cannot be opened: {why}") from None


def _opened_port(listen: str, *, shared: bool) -> socket.socket:
    host, _, port = listen.rpartition(":")
    # A port alone is every address; where there is no IPv6 every address of the other kind.
    host = host.strip("[]") or ("::" if socket.has_dualstack_ipv6() else "0.0.0.0")
    public = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    public.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    public.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
    public.bind((host, int(port)))
    # Only now: a second socket may come, but none of a stranger was there before.
    public.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    public.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return public


def _opened_path(path: Path, settings: Settings, *, shared: bool) -> socket.socket:
    with socket.socket(socket.AF_UNIX) as trial, suppress(ConnectionRefusedError, FileNotFoundError):
        trial.connect(str(path))
        if not shared:
            raise OSError(errno.EADDRINUSE, "in use")
    path.parent.mkdir(parents=True, exist_ok=True)
    return listen_at(path, settings)


def _admit(path: Path, settings: Settings) -> None:
    """Let those use a unix socket who are meant to."""
    name = settings["group"] or settings["app"]
    try:
        group = grp.getgrnam(name).gr_gid
    except KeyError:
        raise Refused(f"the public socket cannot belong to the group {name}: there is none") from None
    os.chown(path, 0, group)
    path.chmod(int(settings["mode"], 8))
