"""The benchmark's job as a good user of pyinfra writes it: what need not run is skipped by a cheap look first.

Left out next to Carboy: no gate (a release that does not start is public), no rollback, no watch, no lock, no history,
old releases stay, and a run that ends between a change and its restart loses the restart.
"""

from pack import JOB, release
from pyinfra import config, host
from pyinfra.facts.files import Directory, File
from pyinfra.operations import files, server, systemd
from pyinfra.operations.util import any_changed

config.SUDO = True

ASK = """
python3 - <<END
import time, urllib.request
for left in range(60, -1, -1):
    try:
        urllib.request.urlopen("http://127.0.0.1:%s/health", timeout=5)
        break
    except OSError:
        if not left:
            raise
        time.sleep(0.5)
END
"""
BUILD = """
set -e
mkdir -m 0700 {home}/wheels
tar -C {home}/wheels -xf {home}/wheels.tar
cd {home}/wheels
python3 -m venv --without-pip {venv}
./uv pip install --quiet --no-index --no-deps --compile-bytecode --cache-dir cache --link-mode hardlink \
    --python {venv}/bin/python *.whl
rm -rf {home}/wheels {home}/wheels.tar
touch {venv}/complete
"""

name, port = JOB["app_name"], JOB["app_port"]
home, logs = f"/srv/{name}", f"/var/log/{name}"
venv, folder = f"{home}/venvs/{JOB['packages']}", f"{home}/releases/{release}"

server.user(name="Create the user", user=name, home=home, shell="/usr/sbin/nologin", system=True, ensure_home=False)
for path, owner, mode in ((f"{home}/releases", "root", "755"), (f"{home}/shared", name, "750"), (logs, name, "750")):
    files.directory(name=f"Create {path}", path=path, user=owner, group=owner, mode=mode)

if not host.get_fact(File, path=f"{venv}/complete"):
    files.put(name="Send the wheels, and uv to install them", src=JOB["wheels"], dest=f"{home}/wheels.tar", mode="600")
    server.shell(name="Install the packages", commands=[BUILD.format(home=home, venv=venv)])

if not host.get_fact(Directory, path=folder):
    files.put(name="Send the app's files", src=f"{JOB['work']}/{name}.tar", dest=f"{folder}.tar")
    unpack = (
        f"mkdir {folder}.new && tar -C {folder}.new -xf {folder}.tar && mv {folder}.new {folder} && rm {folder}.tar"
    )
    server.shell(name="Unpack them", commands=[unpack])

changes = [files.link(name="Choose the release", path=f"{home}/current", target=folder)]
for source, target, mode in (
    ("gunicorn.conf.py", f"{home}/gunicorn.conf.py", "644"),
    ("environment", f"{home}/environment", "600"),
    ("app.service", f"/etc/systemd/system/{name}.service", "644"),
    ("app.socket", f"/etc/systemd/system/{name}.socket", "644"),
):
    text = f"{JOB['files']}/{source}.j2"
    changes.append(files.template(name=f"Write {target}", src=text, dest=target, user="root", mode=mode, **JOB))
files.template(
    name="Write the rotation of the logs",
    src=f"{JOB['files']}/logrotate.j2",
    dest=f"/etc/logrotate.d/{name}",
    user="root",
    mode="644",
    **JOB,
)

systemd.service(
    name="Restart the app",
    service=f"{name}.service",
    restarted=True,
    daemon_reload=True,
    _if=any_changed(*changes),
)
for unit in (f"{name}.socket", f"{name}.service", "logrotate.timer"):
    systemd.service(name=f"Enable and start {unit}", service=unit, running=True, enabled=True)
server.shell(name="Ask the app", commands=[ASK % port], _if=any_changed(*changes))
