"""What an image is built from and a container is started with: rendered, read back, and put to the linter."""

from __future__ import annotations

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

from carboy import source
from carboy.declaration import declare
from carboy.errors import DeclarationError
from carboy.inventory import Host

LINTER = Path(sys.executable).with_name("hadolint")


def host(**variables: Any) -> Host:
    """A host with these variables."""
    return Host("box", {"app_runtime": "compose", "app_wsgi": "app.wsgi:app", "app_name": "hello", **variables}, {})


def declared(**variables: Any) -> Any:
    """The settings of a host with these variables."""
    return declare(host(**variables)).settings


def dockerfile(**variables: Any) -> str:
    """The Dockerfile that these variables lead to."""
    return str(declared(**variables)["image"].files()["Dockerfile"][1].text())


def service(**variables: Any) -> dict[str, Any]:
    """The one service of the Compose file that these variables lead to."""
    text = declared(**variables)["compose"].files()["compose.yaml"][1].text()
    found: dict[str, Any] = yaml.safe_load(text)["services"]["app"]
    return found


@pytest.mark.parametrize("server", ["gunicorn", "gevent"])
def test_dockerfile_is_clean(server: str) -> None:
    """The linter has nothing to say, not even about style."""
    text = dockerfile(app_server=server)
    done = subprocess.run([LINTER, "--failure-threshold=style", "-"], input=text, text=True, capture_output=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_packages_come_before_the_code() -> None:
    """A change of code leaves the layer with the packages as it is, and no wheel stays in the image."""
    text = dockerfile()
    first, second = text.split("FROM ${BASE}")[1:]
    assert "COPY packages/" in first and "packages/" not in second
    assert second.index("COPY --from=packages") < second.index("COPY release/")


def test_commands_are_read_by_no_shell() -> None:
    """The server is the container's main process, and gets its signals."""
    lines = dict(line.split(" ", 1) for line in dockerfile().splitlines() if line.startswith(("CMD", "ENTRYPOINT")))
    assert json.loads(lines["CMD"])[1:3] == ["-m", "gunicorn"]
    assert json.loads(lines["ENTRYPOINT"])[-1] == "/srv/hello/release/carboy_start.py"


def test_user_has_a_fixed_number() -> None:
    """The number is the inventory's, and it is not root's."""
    assert "\nUSER 12345:12345\n" in dockerfile(image_uid=12345)


@pytest.mark.parametrize("listen", ["127.0.0.1:9000", "[::1]:9000", "9000"])
def test_port(listen: str) -> None:
    """The public address leads to the port that the server listens on in its container."""
    found = service(app_listen=listen)
    assert found["ports"] == [f"{listen}:9000"] and found["environment"]["CARBOY_BIND"] == "0.0.0.0:9000"


def test_socket() -> None:
    """A public unix socket publishes no port: each release has a socket of its own, and one is chosen."""
    found = service(app_listen="/run/hello.sock")
    own = "/srv/hello/run/${CARBOY_RELEASE}"
    assert "ports" not in found and found["environment"]["CARBOY_BIND"] == f"unix:{own}/app.sock"
    assert {"type": "bind", "source": own, "target": own} in found["volumes"]


def test_no_secret_in_what_compose_reads() -> None:
    """The environment is a file that is mounted; the Compose file has nothing of it."""
    found = service(app_environment={"GREETING": "hello there"})
    assert "hello there" not in json.dumps(found) and found["secrets"] == ["environment"]
    assert set(found["environment"]) == {"CARBOY_RELEASE", "CARBOY_BIND"}


def test_limits_and_reservations() -> None:
    """What is declared stands there, what is not is not limited."""
    kept = {"app_memory_max": "1G", "app_cpus": 1.5, "compose_memory_min": "256M", "compose_cpus_min": 0.5}
    found = service(**kept)
    assert found["deploy"]["resources"] == {
        "limits": {"pids": 512, "memory": f"{1 << 30}b", "cpus": "1.5"},
        "reservations": {"memory": f"{256 << 20}b"},
    }
    assert (found["cpu_shares"], found["memswap_limit"]) == (512, 1 << 30)
    assert service()["deploy"]["resources"] == {"limits": {"pids": 512}}


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"image_base": "Python:3.12"}, "is no name of an image"),
        ({"image_uid": 0}, "is no number of a user without rights"),
        ({"image_registry": "https://registry.example"}, "is no registry"),
        ({"image_registry": "registry.example"}, "set image_build: controller"),
        ({"app_packages_from": "index"}, "app_packages_from is not for app_runtime compose"),
        ({"app_proxy": "nginx"}, "write app_listen: /run/hello.sock"),
        ({"app_memory_max": "64M", "compose_memory_min": "65M"}, "more is reserved than app_memory_max allows"),
        ({"app_cpus": 1, "compose_cpus_min": 1.5}, "more is reserved than app_cpus allows"),
        ({"app_memory_max": "1M"}, "app_memory_max is too small: docker runs nothing in less than 6M"),
        ({"compose_log_files": 0}, "must be at least 1"),
    ],
)
def test_refused(variables: dict[str, Any], words: str) -> None:
    """What cannot be is found before any host is contacted."""
    with pytest.raises(DeclarationError) as caught:
        declare(host(**variables)).catalog  # noqa: B018 - it is made when it is asked for
    assert words in str(caught.value)


def test_environment_is_read_as_systemd_reads_it(tmp_path: Path) -> None:
    """Quotes, dollars, backslashes, backticks and line breaks arrive in a container as they were declared."""
    from carboy.environment import content

    values = {"A": 'a "b" $C \\ `d`', "B": "two\nlines\twith 'quotes'", "EMPTY": ""}
    file = tmp_path / "environment"
    file.write_text(content(values, "").text())
    start = tmp_path / "start.py"
    start.write_text(
        declared()["image"].files()["release/carboy_start.py"][1].text().replace("/run/secrets/", f"{tmp_path}/")
    )
    show = "import json, os; print(json.dumps({name: os.environ[name] for name in ('A', 'B', 'EMPTY')}))"
    command = [sys.executable, "-I", "-S", str(start), sys.executable, "-c", show]
    assert json.loads(subprocess.run(command, capture_output=True, check=True).stdout) == values


def test_a_release_knows_its_revision(tmp_path: Path) -> None:
    """What git calls the app's tree goes into the release, where status and history find it."""
    from carboy.applier.release import Release

    (tmp_path / "requirements.txt").write_text("flask\n")
    for arguments in (["init"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--allow-empty", "-m", "1"]):
        subprocess.run(["git", "-C", str(tmp_path), *arguments, "--quiet"], check=True)
    entries = declare(host(app_source=str(tmp_path))).catalog.entries
    [release] = [resource for _, resource in entries if isinstance(resource, Release)]
    assert len(release.revision) >= 12


def test_a_layer_that_is_gone_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was kept of an image is used while all of it is there, and no longer."""
    from carboy.errors import FailedError
    from carboy.image import Builder
    from carboy.wheelhouse import Wheelhouse, folder

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    order, part, kept = {"reference": "carboy/hello:1"}, {"sha256": "1" * 64}, folder() / "images"
    kept.mkdir(parents=True)
    (kept / part["sha256"]).write_bytes(b"layer")
    (kept / f"{sha256(json.dumps(order).encode()).hexdigest()[:16]}.json").write_text(json.dumps([part]))
    builder = Builder(lambda _: b"", Wheelhouse(lambda _: ""))
    assert builder.parts(order) == [part]
    (kept / part["sha256"]).unlink()
    with pytest.raises(FailedError, match="needs an engine"):
        builder.parts(order)


def test_the_tag_is_the_content(tmp_path: Path) -> None:
    """The same app has the same image on any controller; another file in it, or another base, has another one."""
    from roles.image import image

    def tag(**variables: Any) -> str:
        source.forget()
        settings = declared(app_source=str(tmp_path), **variables)
        return image(Host("box", {}, {}), settings["image"]).reference

    (tmp_path / "requirements.txt").write_text("flask\n")
    (tmp_path / "app.py").write_text("1")
    first = tag()
    assert first.startswith("carboy/hello:") and tag() == first
    assert tag(app_environment={"A": "1"}) == first != tag(image_base="python:3.13-slim")
    (tmp_path / "app.py").write_text("2")
    assert tag() != first


@pytest.mark.parametrize(("running", "restarting", "is_up"), [(True, False, True), (True, True, False), (False,) * 3])
def test_what_is_up(running: bool, restarting: bool, is_up: bool) -> None:
    """The engine calls running what crashed and waits to be started again; that is not up."""
    from carboy.applier.compose.docker import up

    assert up({"Running": running, "Restarting": restarting}) == is_up
