"""How a host makes a certificate for itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Tuple

from carboy.applier.host import Host, private, remove
from carboy.applier.nginx.process import main_process, start_or_reload
from carboy.applier.nginx.self_signed import SelfSigned

DAYS = "3650"


def make(host: Host, wanted: SelfSigned) -> None:
    """Make a key and a certificate, and put both in place at once."""
    path = host.at(wanted.path)
    key = private(path.parent) / (".%s.carboy" % path.name)
    certificate = _new(host, wanted)
    remove(key)
    # openssl keeps the mode of a file that is there.
    key.touch(0o600)
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    about = ("-subj", "/CN=" + wanted.names[0][:64], "-addext", "subjectAltName=" + _alternatives(wanted.names))
    host.run("openssl", "req", "-x509", "-days", DAYS, *kind, *about, "-keyout", str(key), "-out", str(certificate))
    with open(key, "ab") as both:
        both.write(certificate.read_bytes())
    os.replace(key, path)


def tell(host: Host, wanted: SelfSigned) -> None:
    """Have nginx read it, if it runs; a run that is killed before that leaves a file which says so to the next."""
    if main_process(host):
        start_or_reload(host)
    remove(_new(host, wanted))


def _new(host: Host, wanted: SelfSigned) -> Path:
    return host.at(wanted.path + ".new")


def _alternatives(names: Tuple[str, ...]) -> str:
    local = ["IP:127.0.0.1", "IP:::1"] if names == ("localhost",) else []
    return ",".join(["DNS:" + name for name in names] + local)
