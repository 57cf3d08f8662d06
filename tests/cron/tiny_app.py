"""A server of two processes that takes its sockets as gunicorn does, and misbehaves as files in /srv/tiny/shared say.

`crash`: it exits at once. `sick`: it answers 503. `stubborn`: TERM does nothing. `deaf`: no handler for USR1.
`/slow` answers after half a second.
"""

import os
import selectors
import signal
import socket
import sys
import threading
import time
from pathlib import Path

SHARED = "/srv/tiny/shared/"
RELEASE = os.environ["CARBOY_RELEASE"]
SOCKETS = [socket.socket(fileno=3 + at) for at in range(int(os.environ["LISTEN_FDS"]))]
BUSY = threading.Semaphore(100)


def said(name: str) -> bool:
    return Path(SHARED, name).exists()


def answer(connection: socket.socket) -> None:
    with BUSY, connection:
        path = connection.recv(4096).split()[1].decode()
        if path == "/slow":
            time.sleep(0.5)
        status = "503 Sick" if said("sick") else "200 OK"
        facts = [os.environ["GREETING"], str(Path.cwd()), str(os.getuid()), str(os.umask(0o027))]
        body = ("\n".join(facts) + "\n").encode()
        connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)


def serve() -> None:
    choose = selectors.DefaultSelector()
    for each in SOCKETS:
        each.setblocking(False)
        choose.register(each, selectors.EVENT_READ)
    while True:
        for key, _ in choose.select():
            try:
                connection, _ = key.fileobj.accept()
            except BlockingIOError:
                continue
            connection.setblocking(True)
            threading.Thread(target=answer, args=(connection,)).start()


def end(*_: object) -> None:
    if said("stubborn"):
        return
    for each in SOCKETS:
        each.close()
    for _ in range(100):
        BUSY.acquire()
    os._exit(0)


if said("crash"):
    sys.exit("it crashes on purpose")
assert int(os.environ["LISTEN_PID"]) == os.getpid()
worker = os.fork()
signal.signal(signal.SIGTERM, lambda *_: (worker and not said("stubborn") and os.kill(worker, signal.SIGTERM), end()))
if worker:
    if not said("deaf"):
        signal.signal(signal.SIGUSR1, lambda *_: print("reopened", flush=True))
    print("serving", flush=True)
serve()
