"""Questions that only the host itself can answer fast or exactly enough: this file's text is sent to a Python there.

Standard library and Python 3.9 only. Each public function is a question; its answer is printed as JSON.
"""

from __future__ import annotations

import glob
import gzip
import hashlib
import http.client
import importlib.metadata
import importlib.util
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import time
import uuid
from threading import Event, Thread
from typing import Any, Callable, Dict, List, Optional, Tuple

PAUSE = 0.02
ANSWER_SECONDS = 10.0
LOGGED_SECONDS = 10.0
AROUND_ROTATION = 100
TRACKING = "X-Tracking-Id"


def answers(listen: str, path: str, count: str) -> List[Dict[str, Any]]:
    """What the public address answers to so many requests, one after the other."""
    return [_get(listen, path) for _ in range(int(count))]


def healthy_within(listen: str, path: str, seconds: str) -> bool:
    """Whether the public address answers well before the time is over."""
    return bool(_until(lambda: _healthy(listen, path), float(seconds)))


def processes(unit: str) -> List[Dict[str, Any]]:
    """Every process in the unit's cgroup: what it runs, where, and from which files."""
    main = _show(unit)["MainPID"]
    return [{"main": pid == main, **_process(pid)} for pid in _pids(unit)]


def packages() -> Dict[str, Any]:
    """The distributions that this Python sees, and the facts that markers of requirements ask for."""
    found = {}
    for each in importlib.metadata.distributions():
        found[each.metadata["Name"]] = {"version": each.version, "requires": each.requires or []}
    return {"distributions": found, "environment": _markers()}


def stale_bytecode(folder: str) -> List[str]:
    """Modules below a folder whose compiled form is missing or older, though they can be compiled."""
    sources = (os.path.join(at, name) for at, _, names in os.walk(folder) for name in names if name.endswith(".py"))
    return [path for path in sources if not _compiled(path) and _compiles(path)]


def changed_files(release: str) -> List[str]:
    """Files of a release's tree that are not what its manifest says."""
    with open(os.path.join(release, "manifest.json")) as manifest:
        wanted = {path: digest for path, _, digest in json.load(manifest)}
    tree = os.path.join(release, "tree")
    there = {os.path.relpath(os.path.join(at, name), tree) for at, _, names in os.walk(tree) for name in names}
    found = {path: _digest(os.path.join(tree, path)) for path in there if "__pycache__" not in path.split(os.sep)}
    return sorted(path for path in {*wanted, *found} if wanted.get(path) != found.get(path))


def rotation(listen: str, path: str, config: str, log: str) -> Dict[str, Any]:
    """Rotate by force between requests that never pause; how often each was found in all logs together."""
    sent: List[str] = []
    enough, over = Event(), Event()
    loop = Thread(target=_request, args=(listen, path, sent, enough, over), daemon=True)
    loop.start()
    enough.wait(ANSWER_SECONDS * 3)
    inode = os.stat(log).st_ino
    done = subprocess.run(["logrotate", "--force", config], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    after = len(sent) + AROUND_ROTATION
    _until(lambda: len(sent) >= after or not loop.is_alive(), ANSWER_SECONDS * 3)
    over.set()
    loop.join()
    times = _until(lambda: _all_logged(sent, log), LOGGED_SECONDS) or _logged(sent, log)
    return {
        "exit": done.returncode,
        "said": done.stdout.decode("utf-8", "replace")[-300:],
        "rotated": os.stat(log).st_ino != inode,
        "sent": len(sent),
        "lost": [name for name in sent if times[name] == 0],
        "twice": [name for name in sent if times[name] > 1],
    }


def kill_main(unit: str, listen: str, path: str, seconds: str) -> Dict[str, Any]:
    """Kill the main process; how long until another one answers, and the unit before and after."""
    before, began = _show(unit), time.monotonic()
    os.kill(int(before["MainPID"]), signal.SIGKILL)
    back = _until(lambda: _replaced(unit, before) and _healthy(listen, path), float(seconds))
    return {"back": bool(back), "seconds": time.monotonic() - began, "before": before, "after": _show(unit)}


def kill_worker(unit: str, seconds: str) -> Dict[str, Any]:
    """Kill one worker; how long until as many run as before."""
    before, began = _show(unit), time.monotonic()
    workers = _workers(unit, before["MainPID"])
    os.kill(int(workers[0]), signal.SIGKILL)

    def replaced() -> bool:
        now = _workers(unit, before["MainPID"])
        return len(now) >= len(workers) and workers[0] not in now

    back = _until(replaced, float(seconds))
    return {"back": bool(back), "seconds": time.monotonic() - began, "before": before, "after": _show(unit)}


def terminate_main(unit: str, listen: str, path: str, seconds: str) -> Dict[str, Any]:
    """End the main process as an operator would, then ask the public address; the unit before, between and after."""
    before = _show(unit)
    os.kill(int(before["MainPID"]), signal.SIGTERM)
    # With requests of others coming in, the next one brings the service back before anybody can see it inactive.
    ended = _until(lambda: _ended(unit, before), float(seconds))
    began = time.monotonic()
    back = _until(lambda: _healthy(listen, path) and _replaced(unit, before), float(seconds))
    took = time.monotonic() - began
    return {"before": before, "ended": ended, "back": bool(back), "seconds": took, "after": _show(unit)}


def crash_loop(unit: str, most: str, seconds: str) -> Dict[str, Any]:
    """Kill each main process as soon as there is one, until systemd gives up or `most` were killed."""
    killed: List[str] = []

    def given_up() -> bool:
        shown = _show(unit)
        if shown["MainPID"] not in ("0", *killed) and len(killed) < int(most):
            killed.append(shown["MainPID"])
            os.kill(int(shown["MainPID"]), signal.SIGKILL)
        return shown["ActiveState"] == "failed" or len(killed) >= int(most)

    began = time.monotonic()
    _until(given_up, float(seconds))
    return {"kills": len(killed), "seconds": time.monotonic() - began, "after": _show(unit)}


def _get(listen: str, path: str, tracking: str = "") -> Dict[str, Any]:
    connection = http.client.HTTPConnection("localhost", timeout=ANSWER_SECONDS)
    try:
        connection.sock = _connected(listen)
        connection.request("GET", path, headers={"Connection": "close", "User-Agent": "carboy-verify", TRACKING: tracking})
        response = connection.getresponse()
        body = response.read().decode("utf-8", "replace")[:300]
        return {"status": response.status, "release": response.getheader("X-Release"), "body": body}
    except (OSError, http.client.HTTPException) as problem:
        return {"status": 0, "release": None, "body": str(problem) or type(problem).__name__}
    finally:
        connection.close()


def _connected(listen: str) -> socket.socket:
    if listen.startswith("/"):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(ANSWER_SECONDS)
        connection.connect(listen)
        return connection
    host, _, port = listen.rpartition(":")
    local = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "::1"}
    return socket.create_connection((local.get(host, host.strip("[]")), int(port)), timeout=ANSWER_SECONDS)


def _healthy(listen: str, path: str) -> bool:
    return 200 <= _get(listen, path)["status"] < 400


def _until(condition: Callable[[], Any], seconds: float) -> Any:
    """The first true answer, or None when the time is over."""
    until = time.monotonic() + seconds
    while True:
        found = condition()
        if found or time.monotonic() > until:
            return found or None
        time.sleep(PAUSE)


def _show(unit: str) -> Dict[str, str]:
    properties = "ActiveState,SubState,Result,MainPID,NRestarts,InvocationID,ControlGroup"
    text = subprocess.check_output(["systemctl", "show", "--property", properties, "--", unit]).decode()
    pairs = (line.partition("=") for line in text.splitlines())
    return {name: value for name, _, value in pairs}


def _replaced(unit: str, before: Dict[str, str]) -> bool:
    shown = _show(unit)
    return shown["ActiveState"] == "active" and shown["MainPID"] not in ("0", before["MainPID"])


def _ended(unit: str, before: Dict[str, str]) -> Optional[Dict[str, str]]:
    shown = _show(unit)
    over = shown["ActiveState"] in ("inactive", "failed") or shown["InvocationID"] != before["InvocationID"]
    return shown if over else None


def _pids(unit: str) -> List[str]:
    group = _show(unit)["ControlGroup"]
    for root in ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"):
        path = root + group + "/cgroup.procs"
        if group and os.path.exists(path):
            with open(path) as listed:
                return listed.read().split()
    return []


def _workers(unit: str, main: str) -> List[str]:
    return [pid for pid in _pids(unit) if pid != main and _parent(pid) == main]


def _parent(pid: str) -> str:
    try:
        with open("/proc/%s/stat" % pid) as stat:
            return stat.read().rpartition(")")[2].split()[1]
    except OSError:
        return ""


def _process(pid: str) -> Dict[str, Any]:
    folder = "/proc/" + pid
    with open(folder + "/environ") as environ, open(folder + "/cmdline") as cmdline, open(folder + "/maps") as maps:
        variables = dict(item.partition("=")[::2] for item in environ.read().split("\0"))
        files = {line.split(None, 5)[5] for line in maps.read().splitlines() if len(line.split(None, 5)) == 6}
        argv = cmdline.read().split("\0")[:-1]
    return {
        "pid": int(pid),
        "cwd": os.readlink(folder + "/cwd"),
        "argv": argv,
        "release": variables.get("CARBOY_RELEASE"),
        "files": sorted(file for file in files if "/site-packages/" in file),
    }


def _markers() -> Dict[str, str]:
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": platform.python_version(),
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": platform.python_version(),
        "python_version": "%d.%d" % sys.version_info[:2],
        "sys_platform": sys.platform,
    }


def _compiled(path: str) -> bool:
    """Whether Python would use the compiled form as it is: its header holds the source's time and size."""
    try:
        with open(importlib.util.cache_from_source(path), "rb") as compiled:
            head = compiled.read(16)
    except OSError:
        return False
    stat = os.stat(path)
    own = [int(stat.st_mtime) & 0xFFFFFFFF, stat.st_size & 0xFFFFFFFF]
    return head[4:8] != bytes(4) or [int.from_bytes(head[at : at + 4], "little") for at in (8, 12)] == own


def _compiles(path: str) -> bool:
    try:
        with open(path, "rb") as source:
            compile(source.read(), path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def _request(listen: str, path: str, sent: List[str], enough: Event, over: Event) -> None:
    while not over.is_set():
        name = "carboy-verify-" + uuid.uuid4().hex
        if _get(listen, path, name)["status"]:
            sent.append(name)
        if len(sent) >= AROUND_ROTATION:
            enough.set()


def _logged(sent: List[str], log: str) -> Dict[str, int]:
    times = dict.fromkeys(sent, 0)
    for path in glob.glob(glob.escape(log) + "*"):
        reader: Any = gzip.open if path.endswith(".gz") else open
        with reader(path, "rb") as lines:
            for line in lines:
                name = _tracking(line)
                if name in times:
                    times[name] += 1
    return times


def _all_logged(sent: List[str], log: str) -> Optional[Dict[str, int]]:
    times = _logged(sent, log)
    return times if all(times.values()) else None


def _tracking(line: bytes) -> Optional[str]:
    # Most lines are not of this run, and parsing them all would take as long as the rest.
    return json.loads(line).get("x_tracking_id") if b"carboy-verify-" in line else None


QUESTIONS: Tuple[Callable[..., Any], ...] = (
    answers,
    healthy_within,
    processes,
    packages,
    stale_bytecode,
    changed_files,
    rotation,
    kill_main,
    kill_worker,
    terminate_main,
    crash_loop,
)

if __name__ == "__main__":
    asked = {question.__name__: question for question in QUESTIONS}[sys.argv[1]]
    print(json.dumps(asked(*sys.argv[2:])))
