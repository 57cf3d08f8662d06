"""What stands in front of the app, asked as a client on the same host would ask it."""

from __future__ import annotations

import grp
import http.client
import os
import pwd
import socket
import ssl
from typing import Any

# All of 127.0.0.0/8 leads to the host itself; a site that listens on 127.0.0.1 alone is not what clients meet.
LOCAL = "127.80.0.1"
ANSWER_SECONDS = 10.0


def get(port: str, name: str, path: str, tls: str) -> dict[str, Any]:
    """Ask for a path under a name, with TLS if `tls` says yes; status 0 stands for no answer."""
    connection = http.client.HTTPConnection(name, timeout=ANSWER_SECONDS)
    try:
        connection.sock = _connected(int(port), name, tls == "yes")
        connection.request("GET", path, headers={"Connection": "close", "User-Agent": "carboy-verify"})
        response = connection.getresponse()
        headers = {key.lower(): value for key, value in response.getheaders()}
        return {"status": response.status, "headers": headers, "body": response.read(300).decode("utf-8", "replace")}
    except (OSError, http.client.HTTPException) as problem:
        return {"status": 0, "headers": {}, "body": str(problem) or type(problem).__name__}
    finally:
        connection.close()


def handshake(port: str, name: str) -> dict[str, Any]:
    """What is agreed on with a client that can speak everything: TLS, HTTP, and the certificate as PEM."""
    with _connected(int(port), name, True, ["h2", "http/1.1"]) as secured:
        certificate = ssl.DER_cert_to_PEM_cert(secured.getpeercert(True) or b"")
        return {"tls": secured.version(), "http": secured.selected_alpn_protocol(), "certificate": certificate}


def refuses_old_tls(port: str, name: str) -> bool:
    """Whether a client that can do no better than TLS 1.1 is turned away."""
    try:
        with _connected(int(port), name, True, best=ssl.TLSVersion.TLSv1_1):
            return False
    except OSError:
        return True


def may_connect(path: str, user: str, group: str) -> bool:
    """Whether a process of that user and group alone may connect to a unix socket."""
    child = os.fork()
    if not child:
        os.setgroups([])
        os.setgid(grp.getgrnam(group).gr_gid)
        os.setuid(pwd.getpwnam(user).pw_uid)
        with socket.socket(socket.AF_UNIX) as connection:
            os._exit(1 if connection.connect_ex(path) else 0)
    return not os.waitpid(child, 0)[1]


def _connected(port: int, name: str, tls: bool, protocols: Any = (), best: Any = None) -> Any:
    plain = socket.create_connection((LOCAL, port), timeout=ANSWER_SECONDS)
    if not tls:
        return plain
    # Whom it is for and how long is judged apart: a self-signed one is to be looked at, too.
    context = ssl._create_unverified_context()
    context.set_alpn_protocols(list(protocols) or ["http/1.1"])
    if best:
        context.minimum_version, context.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, best
        context.set_ciphers("ALL:@SECLEVEL=0")
    return context.wrap_socket(plain, server_hostname=name)
