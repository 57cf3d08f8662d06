"""An app in containers on a host with a real engine, in order: each test begins where the last one ended."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
from collections.abc import Iterator

import pytest

from carboy.sandbox import HostOptions
from tests.host.compose_box import (
    HEALTH,
    HELD,
    JOINED,
    PLUGINS,
    SICK,
    START,
    STOP,
    containers,
    kill_run,
    python,
    refused,
    released,
    running,
)
from tests.host.conftest import ROOT, Site, site
from tests.host.test_interrupts import await_host, await_progress, start
from tests.support.load import load


def free_port() -> int:
    """A port of this machine that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


BASE = "localhost/python-base:13"
SECRET = "what nobody may read off the engine"
NGINX = {"app_proxy": "nginx", "nginx_port": 8000, "app_listen": "/run/hello.sock"}
REGISTRY_PORT = free_port()
REGISTRY = {
    "version": 0.1,
    "storage": {"filesystem": {"rootdirectory": "/var/lib/docker-registry"}},
    "http": {"addr": f"0.0.0.0:{REGISTRY_PORT}"},
}
EXTRA = (
    "--volume=/var/lib/docker",
    "--volume=/var/lib/containerd",
    f"--publish=127.0.0.1:{REGISTRY_PORT}:{REGISTRY_PORT}",
)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A host with docker, and a base image that no registry gave it."""
    options = HostOptions(variant="docker", publish_http=True, extra=EXTRA)
    with site(tmp_path_factory.mktemp("site"), options) as made:
        secrets = made.folder / "secrets.yml"
        secrets.write_text(f"TOKEN: {SECRET}\n")
        made.variables = {
            "app_runtime": "compose",
            "app_memory_max": "192M",
            "app_cpus": 1.5,
            "app_secrets_file": str(secrets),
            "app_environment": {"GREETING": 'a "quoted" $PATH'},
            "image_base": BASE,
        }
        yield made
    forget_images(made)


def forget_images(box: Site) -> None:
    """Leave no image of these tests in the engine of this machine."""
    engine = box.host.container.engine
    listing = ("images", "--quiet", "--filter")
    built = " ".join(engine.run(*listing, f"label=carboy.{kind}=hello") for kind in ("app", "packages"))
    for image in [*built.split(), BASE]:
        engine.succeeds("rmi", "--force", image)


@pytest.fixture
def registry(box: Site) -> Iterator[str]:
    """A registry that this machine and the host know by the same name."""
    place = f"127.0.0.1:{REGISTRY_PORT}"
    # Debian's own configuration wants a password.
    box.shell(f"echo '{json.dumps(REGISTRY)}' >/root/registry.json")
    box.shell("systemd-run --quiet --unit=registry docker-registry serve /root/registry.json")
    await_host(box, f"python3 -c 'import urllib.request as u; u.urlopen(\"http://{place}/v2/\")'")
    yield place
    box.shell("systemctl stop registry")


def test_engine_missing(box: Site) -> None:
    """A host without docker is left as it is, and the error names the packages, whatever was asked."""
    box.shell("mv /usr/bin/docker /usr/bin/docker.away")
    try:
        told = [refused(box.invoke(verb, expect=1)) for verb in ("deploy", "status")]
    finally:
        box.shell("mv /usr/bin/docker.away /usr/bin/docker")
    assert all(said.startswith("the host has no docker") and "docker-compose" in said for said in told)
    assert box.shell("ls -d /srv/hello 2>/dev/null || echo none") == "none"


def test_no_plugin_at_all(box: Site) -> None:
    """An engine without any plugin has no Compose, and that is what is said."""
    box.shell(f"for each in {PLUGINS}; do [ ! -d $each ] || mv $each $each.away; done")
    try:
        said = refused(box.invoke("deploy", expect=1))
    finally:
        box.shell(f"for each in {PLUGINS}; do [ ! -d $each.away ] || mv $each.away $each; done")
    assert said.startswith("docker has no Compose plugin")


def test_daemon_down(box: Site) -> None:
    """An engine that does not answer is named before anything is changed."""
    box.shell(STOP)
    try:
        said = refused(box.invoke("deploy", expect=1))
    finally:
        box.shell(START)
    assert said.startswith("the docker engine does not answer") and "systemctl status docker" in said
    assert box.shell("ls -d /srv/hello 2>/dev/null || echo none") == "none"


def test_registry_out_of_reach(box: Site) -> None:
    """Without the base image and without its registry there is one clear error, and nothing is changed."""
    said = refused(box.invoke("deploy", "-e", "image_base=127.0.0.1:9/python:3.12-slim", expect=1))
    assert said.startswith("the base image 127.0.0.1:9/python:3.12-slim is not on the host and cannot be pulled")
    assert "image_build: controller" in said and "refused" in said
    assert box.shell("ls -d /srv/hello 2>/dev/null || echo none") == "none"
    box.shell(f"docker import /usr/share/carboy/python-base.tar.zst {BASE}")


def test_image_too_big(box: Site) -> None:
    """Where the engine has no room for the image, that is the error, and nothing is built."""
    remounted = f"{STOP}; %s /var/lib/docker; {START}"
    box.shell(remounted % "mount -t tmpfs -o size=150m tmpfs")
    try:
        box.shell(f"docker import /usr/share/carboy/python-base.tar.zst {BASE}")
        said = refused(box.invoke("deploy", expect=1))
    finally:
        box.shell(remounted % "umount")
    assert re.match(r"not enough room on /var/lib/docker: [0-9.]+ MB needed, [0-9.]+ MB free", said)
    assert box.shell("ls -d /srv/hello 2>/dev/null || echo none") == "none"


def test_port_taken(box: Site) -> None:
    """A port that another program has is named along with it, and no container of the app stays."""
    box.shell("systemd-run --quiet --unit=squatter python3 -m http.server 8000")
    try:
        said = refused(box.invoke("deploy", expect=1))
    finally:
        box.shell("systemctl stop squatter")
    assert said.startswith("0.0.0.0:8000 is taken") and "python3" in said
    assert containers(box) == []


def test_first_deploy(box: Site) -> None:
    """With an image that the failed deploy built already, the app serves after one command."""
    outcome = box.invoke("deploy")
    [cutover] = outcome.of("cutover")
    with load(box.port, "/health", clients=1) as result:
        pass
    assert result.releases == [cutover["release"]] and cutover["before"] is None
    assert box.invoke("deploy").changed == []


def test_what_runs_is_what_is_declared(box: Site) -> None:
    """The container has the limits, the user and the rights that the inventory gives it, and no others."""
    found = running(box)
    host, config = found["HostConfig"], found["Config"]
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"], host["PidsLimit"]) == (
        192 << 20,
        192 << 20,
        1.5e9,
        512,
    )
    assert (host["ReadonlyRootfs"], host["CapDrop"], host["SecurityOpt"]) == (True, ["ALL"], ["no-new-privileges=true"])
    assert host["Ulimits"] == [{"Name": "nofile", "Hard": 16384, "Soft": 16384}]
    assert host["RestartPolicy"]["Name"] == "unless-stopped" and config["StopTimeout"] == 40
    assert config["User"] == box.shell("id -u hello; id -g hello").replace("\n", ":")
    assert host["LogConfig"]["Config"] == {"max-file": "3", "max-size": str(10 << 20)}


def test_secrets_are_no_business_of_the_engine(box: Site) -> None:
    """The app has its secret and its environment as declared; what the engine shows of it has no secret."""
    seen = python(box, "import os; print(os.environ['TOKEN'], os.environ['GREETING'], os.getuid())")
    assert seen == f'{SECRET} a "quoted" $PATH {box.shell("id -u hello")}'
    assert SECRET not in json.dumps(running(box)) + box.shell("docker image inspect $(docker image ls --quiet)")
    assert box.shell("stat -c '%a %U' /srv/hello/current/environment") == "400 hello"


def test_plan_touches_nothing(box: Site) -> None:
    """A plan for a change exits 2 and shows it; neither image nor container comes of it."""
    before = box.shell("docker image ls --quiet"), containers(box)[0]["Id"]
    outcome = box.invoke("plan", "-e", "app_memory_max=256M", expect=2)
    [release] = [event for event in outcome.of("resource") if event["resource"].startswith("release")]
    assert f"-          memory: {192 << 20}b\n+          memory: {256 << 20}b" in release["diff"]
    assert (box.shell("docker image ls --quiet"), containers(box)[0]["Id"]) == before


def test_a_broken_app_never_serves(box: Site) -> None:
    """Code that does not import fails at the gate, is explained in its own words, and the old one serves on."""
    before = running(box)["Id"]
    box.edit("app/wsgi.py", "app = create_app()", "import a_module_that_is_not_there\napp = create_app()")
    with load(box.port, clients=4) as result:
        said = refused(box.invoke("deploy", expect=1))
    box.edit("app/wsgi.py", "import a_module_that_is_not_there\n", "")
    assert "a_module_that_is_not_there" in said.splitlines()[0] and result.failures == []
    assert running(box)["Id"] == before


def test_the_gap_without_a_proxy(box: Site) -> None:
    """A change of settings builds no image; nobody is served for a moment, and it is said for how long.

    A hook before it runs as the new release does.
    """
    box.variables["app_environment"] = {"GREETING": "hi"}
    commands = ["echo $GREETING $CARBOY_RELEASE $(id -u) $(command -v python)"]
    with load(box.port, clients=4) as result:
        outcome = box.invoke("deploy", "-e", json.dumps({"release_before_cutover": commands}))
    [gap], [cutover] = outcome.of("gap"), outcome.of("cutover")
    [ran] = outcome.of("hook")
    python_of_release = "/srv/hello/release/venv/bin/python"
    assert ran["said"] == f"hi {cutover['release']} {box.shell('id -u hello')} {python_of_release}"
    assert 0 < gap["seconds"] < 20
    assert result.releases[-1] == cutover["release"]
    assert all("Refused" in failure or "reset" in failure for failure in result.failures)
    assert not [name for name in outcome.changed if name.startswith("image")]


def test_killed_in_the_gap(box: Site) -> None:
    """A run that is killed while nobody serves leaves no app that is down: the new one comes up all the same."""
    box.variables["app_environment"] = {"GREETING": "hi again"}
    run = subprocess.Popen(box.command("deploy"), cwd=ROOT, env=box.env, stdout=subprocess.PIPE)
    await_host(box, '[ -z "$(docker ps --quiet --filter label=carboy.app=hello)" ]')
    kill_run(box)
    run.communicate()
    with load(box.port, "/health", clients=1) as result:
        pass
    assert box.invoke("deploy").changed == ["cutover hello"]
    current = box.shell("readlink /srv/hello/current").rpartition("/")[2]
    assert result.releases == [current] and running(box)["Name"] == f"/hello-{current.lower()}"


def test_rollback_to_the_image_before(box: Site) -> None:
    """A rollback has the release before serve again, from its own image, without building anything.

    First it waits for the hook that a killed run left behind.
    """
    *_, before, _ = [event["release"] for event in box.invoke("history").of("switch") if event["outcome"] == "healthy"]
    labels = f"--label carboy.release={before} --label com.docker.compose.oneoff=True"
    left = f"--name hello-hook {labels} --volume /srv/hello/shared:/out --user 0"
    box.shell(f"docker run --detach {left} --entrypoint sh {running(box)['Image']} -c 'sleep 4; touch /out/ended'")
    outcome = box.invoke("rollback")
    assert box.shell("ls /srv/hello/shared/ended; docker ps --all --quiet --filter name=hook").split() == [
        "/srv/hello/shared/ended"
    ]
    [back] = outcome.of("cutover")
    assert back["release"] == before
    record = json.loads(box.shell("cat /srv/hello/current/release.json"))
    assert running(box)["Image"] == record["image"]


def test_status_logs_and_verify(box: Site) -> None:
    """Status, logs and verify mean the same as under systemd; a container that somebody made by hand is no concern."""
    box.shell(f"docker run --detach --name by-hand {running(box)['Image']}")
    [serving] = box.invoke("status").of("serving")
    assert serving["chosen"] and serving["pid"] == released(box)["State"]["Pid"] and serving["health"].startswith("200")
    with load(box.port, "/health", clients=1):
        pass
    [line] = box.invoke("logs", "--access", "--lines=1").of("log")
    assert json.loads(line["line"])["release"] == serving["release"]
    assert any("Booting worker" in event["line"] for event in box.invoke("logs", "--lines=200").of("log"))
    assert box.shell("stat -c %U /var/log/hello/access.log") == "hello"
    verified = box.invoke("verify", "--kill")
    box.shell("docker rm --force by-hand")
    assert {event["outcome"] for event in verified.of("check")} <= {"ok", "skipped"}


def test_rotation_loses_no_line(box: Site) -> None:
    """After a rotation the server writes to the new file."""
    box.shell("logrotate --force /etc/logrotate.d/hello")
    with load(box.port, "/health", clients=1):
        pass
    assert int(box.shell("wc -l </var/log/hello/access.log")) > 0


def test_carried_without_a_registry(box: Site) -> None:
    """An image that is built here travels layer by layer: what the host has already stays here.

    Whatever the umask of the person who builds it, the app can read what is in it.
    """
    engine = box.host.container.engine.name
    saving = [engine, "exec", box.host.container.name, "docker", "save", BASE]
    with subprocess.Popen(saving, stdout=subprocess.PIPE) as saved:
        subprocess.run([engine, "load"], stdin=saved.stdout, capture_output=True, check=True)
    box.edit("app/factory.py", '"status": "ok"', '"status": "carried"')
    # Else the layers of an earlier run might be sent, whose base was another one.
    base = box.shell(f"docker image inspect --format '{{{{.Id}}}}' {BASE}")
    box.edit("app/wsgi.py", "app = create_app()", f"app = create_app()  # {base}")
    before = os.umask(0o077)
    try:
        outcome = box.invoke("deploy", "-e", "image_build=controller")
    finally:
        os.umask(before)
    [loading] = [event["text"] for event in outcome.of("progress") if event["text"].startswith("loading")]
    layers, of = loading.split(": ")[1].split()[0], loading.split(" of ")[1].split()[0]
    assert int(layers) < int(of)
    assert '"carried"' in box.shell(f"python3 -c {shlex.quote(HEALTH)}")


def test_by_way_of_a_registry(box: Site, registry: str) -> None:
    """Where a registry is named, the image is pushed from here, and the host pulls it."""
    outcome = box.invoke("deploy", "-e", "image_build=controller", "-e", f"image_registry={registry}")
    assert f"pulling {registry}/hello" in "\n".join(event["text"] for event in outcome.of("progress"))
    assert running(box)["Image"] == json.loads(box.shell("cat /srv/hello/current/release.json"))["image"]


def test_no_gap_behind_nginx(box: Site) -> None:
    """With nginx in front a deploy and a rollback let no request fail."""
    box.shell("docker rm --force $(docker ps --quiet) >/dev/null")
    box.variables |= NGINX
    box.invoke("deploy")
    box.edit("app/factory.py", '"status": "carried"', '"status": "anew"')
    with load(box.port) as result:
        [deployed] = box.invoke("deploy").of("cutover")
        [back] = box.invoke("rollback").of("cutover")
    assert result.failures == []
    assert result.releases == [deployed["before"], deployed["release"]] and back["release"] == deployed["before"]


def test_a_breach_while_the_release_before_ends(box: Site) -> None:
    """A release that falls sick while the one before still ends is taken back, and no other request fails."""
    before, wsgi = running(box), (box.app / "app/wsgi.py").read_text()
    (box.app / "app/wsgi.py").write_text(wsgi + SICK)
    box.shell(f"systemd-run --quiet sh -c {shlex.quote(HELD % before['State']['Pid'])}")
    with load(box.port) as result:
        run = start(box)
        await_progress(run, "going back to")
        box.shell(f"kill -CONT {before['State']['Pid']}")
        [failed] = [event for event in map(json.loads, run.communicate()[0].splitlines()) if event["event"] == "failed"]
    (box.app / "app/wsgi.py").write_text(wsgi)
    box.shell("rm /srv/hello/shared/sick")
    assert run.returncode == 1 and "serves again" in failed["hint"]
    assert running(box)["Id"] == before["Id"] and result.failures == []


def test_killed_while_two_run(box: Site) -> None:
    """A run that is killed while two releases run leaves both; the next deploy finishes what it began."""
    box.variables["release_watch"] = "60s"
    box.edit("app/wsgi.py", "app = create_app()", "app = create_app()  # killed")
    with load(box.port) as result:
        run = subprocess.Popen(box.command("deploy"), cwd=ROOT, env=box.env, stdout=subprocess.PIPE)
        await_host(box, "[ $(docker ps --quiet | wc -l) = 2 ] && [ -e /srv/hello/serving/app.sock ] && " + JOINED)
        kill_run(box)
        run.communicate()
        box.variables["release_watch"] = "500ms"
        assert box.invoke("deploy").changed == ["cutover hello"]
    assert result.failures == []
    assert running(box)["Image"] == json.loads(box.shell("cat /srv/hello/current/release.json"))["image"]


def test_reboot(box: Site) -> None:
    """After a reboot the release that was chosen serves again, alone; verify says so, where it may reboot."""
    before = running(box)["Name"]
    command = f"{box.host.container.engine.name} restart {box.host.container.name}"
    allowed = ("-e", "carboy_allow_reboot=true", "-e", f"carboy_reboot_command={command}")
    checks = {check["check"]: check["outcome"] for check in box.invoke("verify", "--kill", *allowed).of("check")}
    assert set(checks.values()) <= {"ok", "skipped"} and checks["reboot"] == "ok"
    made = box.host.container.ports()[8000]
    with load(made, "/health", clients=1) as result:
        pass
    assert result.failures == [] and running(box)["Name"] == before


def test_out_of_memory(box: Site) -> None:
    """The kernel holds the limit: an app that takes more ends, and the error of its deploy says why."""
    box.edit("app/wsgi.py", "app = create_app()", "hoard = bytearray(300 << 20)\napp = create_app()")
    said = refused(box.invoke("deploy", expect=1))
    box.edit("app/wsgi.py", "hoard = bytearray(300 << 20)\n", "")
    assert "memory" in said
