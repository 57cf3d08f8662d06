"""The main process of a host's nginx: told to reload, or started."""

from __future__ import annotations

import os
import re
import signal
from typing import Optional

from carboy.applier.host import Host
from carboy.applier.nginx.control import PROGRAM

CONFIG = "/etc/nginx/nginx.conf"


def start_or_reload(host: Host) -> None:
    """Have nginx read its configuration, whatever runs it; it is never restarted."""
    running = main_process(host)
    if running:
        os.kill(running, signal.SIGHUP)
    elif host.at("/run/systemd/system").is_dir():
        host.call("systemctl", "reset-failed", "nginx.service")
        host.begin("systemctl", "start", "nginx.service").wait()
    else:
        host.begin(PROGRAM).wait()


def main_process(host: Host) -> Optional[int]:
    """The process that is told to reload, if nginx runs; a stale pid file may name somebody else's."""
    named = re.search(r"^\s*pid\s+([^;\s]+)\s*;", host.at(CONFIG).read_text(errors="replace"), re.MULTILINE)
    try:
        pid = int(host.at(named[1] if named else "/run/nginx.pid").read_text())
        program = os.readlink("/proc/%d/exe" % pid)
    except (OSError, ValueError):
        return None
    return pid if os.path.basename(program).startswith("nginx") else None
