"""nginx before the app: proven, run with, and the only one who gets to the app."""

from __future__ import annotations

import json
from typing import Any

import pytest
from testinfra.host import Host

from carboy import certificate
from carboy.verify import judge
from carboy.verify.target import Target
from roles import nginx

# Not to be asked from outside, so nginx itself says that there is no such thing.
NO_PAGE = "/carboy-maintenance"


@pytest.fixture(scope="session")
def front(target: Target) -> nginx.Settings:
    """What was declared of nginx."""
    settings: nginx.Settings = target.declared.settings["nginx"]
    return settings


@pytest.fixture(scope="session")
def name(front: nginx.Settings) -> str:
    """The name that clients use."""
    return front.names[0] if front.names else "localhost"


@pytest.fixture(scope="session")
def tls(front: nginx.Settings) -> nginx.Settings:
    """What was declared of nginx, where clients speak TLS with it."""
    if not front.pair:
        pytest.skip("nginx_certificate is not set")
    return front


def test_configuration(host: Host, target: Target, front: nginx.Settings) -> None:
    """nginx accepts its whole configuration, and ignores no part of the app's."""
    done = host.run("nginx -t")
    judge.holds(done.rc == 0, done.stderr.strip(), "mend the file that it names")
    said = [line for line in done.stderr.splitlines() if "[warn]" in line and any(each in line for each in front.names)]
    judge.none(said, "nginx says", target.repair)


def test_site(target: Target, front: nginx.Settings) -> None:
    """The app's site is as declared, on disk and in the nginx that runs."""
    site = nginx.site(front)
    digest = target.output("sha256sum %s", site.path).split()[0]
    judge.holds(digest in (site.text.sha256, site.old_text.sha256), f"{site.path} was changed", target.repair)
    answer = target.ask("front.get", front.port, f"{front.app.name}.carboy.invalid", "/", "no")
    what = f"nginx runs with {answer['body']!r} and not with what is on disk, {site.mark}"
    judge.holds(answer["body"] == site.mark, what, target.repair)


def test_started_at_boot(host: Host, target: Target) -> None:
    """nginx comes back with the host."""
    if target.app.runtime == "cron":
        judge.holds(host.file("/etc/cron.d/carboy-nginx").exists, "no /etc/cron.d/carboy-nginx", target.repair)
        return
    found = target.show("nginx.service", "ActiveState", "UnitFileState")
    judge.same(found, {"ActiveState": "active", "UnitFileState": "enabled"}, "nginx.service", target.repair)


def test_open(target: Target, front: nginx.Settings) -> None:
    """Clients meet the app, and not the maintenance page."""
    shut = target.host.file(front.flag).exists
    judge.holds(not shut, f"{front.flag} shuts the app", f"invoke maintenance off --host {target.name}")


def test_health_through_nginx(target: Target, front: nginx.Settings, name: str) -> None:
    """The app answers through nginx, and it is the release that is current."""
    answer = _get(target, front, name, target.app.health)
    what = f"{target.app.health} answers {answer['status'] or 'nothing'}: {answer['body']}"
    judge.holds(200 <= answer["status"] < 400, what, f"tail {front.error_log}")
    release = answer["headers"].get("x-release", target.release)
    judge.same({"release": release}, {"release": target.release}, "the answer", target.repair)


def test_redirect(target: Target, tls: nginx.Settings, name: str) -> None:
    """Who comes without TLS is sent to the same place with it."""
    if not tls.redirect:
        pytest.skip("nginx_redirect is off")
    answer = target.ask("front.get", tls.port, name, "/a?b=c", "no")
    port = "" if tls.tls_port == 443 else f":{tls.tls_port}"
    found = {"status": answer["status"], "location": answer["headers"].get("location")}
    judge.same(found, {"status": 308, "location": f"https://{name}{port}/a?b=c"}, f"port {tls.port}", target.repair)


def test_tls(target: Target, tls: nginx.Settings, name: str) -> None:
    """TLS 1.3 and HTTP/2 are spoken, and nothing older than TLS 1.2."""
    found = target.ask("front.handshake", tls.tls_port, name)
    wanted = {"tls": "TLSv1.3", "http": "h2" if tls.http2 else "http/1.1"}
    judge.same(found, wanted, f"port {tls.tls_port}", target.repair)
    old = target.ask("front.refuses_old_tls", tls.tls_port, name)
    judge.holds(old, f"port {tls.tls_port} accepts TLS 1.1", "look for another site there that allows it")


def test_certificate(target: Target, tls: nginx.Settings, name: str) -> None:
    """The certificate that clients see is the declared one, is for these names, and stays valid for two weeks."""
    shown = certificate.load(target.ask("front.handshake", tls.tls_port, name)["certificate"].encode())
    if tls.given:
        declared = certificate.load(tls.given[0].read_bytes())[0]
        judge.holds(shown[0] == declared, f"clients see another one than {tls.given[0]}", target.repair)
    missing = [each for each in tls.names if not certificate.covers(shown[0], each)]
    judge.none(missing, "the certificate is not for", "have one made for all names of the app")
    judge.holds(not certificate.expires_soon(shown), certificate.expires_soon(shown), "have it renewed, then deploy")


def test_keys(target: Target, front: nginx.Settings) -> None:
    """Keys can be read by root alone."""
    found = target.output(
        r"find %s ! -user root -o -name '*.key' -perm /077 -o -type d -perm /077", "/etc/nginx/carboy"
    )
    judge.none(found.splitlines() if front.pair else [], "open to others than root", "chmod go= these")


def test_headers(target: Target, front: nginx.Settings, name: str) -> None:
    """Security headers are there, with the app's answers and with nginx's own refusals."""
    strict = {"Strict-Transport-Security": ""} if front.pair and front.hsts else {}
    wanted = [key.lower() for key in {**front.sent, **strict}]
    for path, right in ((target.app.health, range(200, 400)), (NO_PAGE, (404,))):
        answer = _get(target, front, name, path)
        missing = [key for key in wanted if key not in answer["headers"]]
        judge.none(missing, f"{path} ({answer['status']}) is answered without", target.repair)
        judge.holds(answer["status"] in right, f"{path} is answered {answer['status']}", target.repair)


def test_socket(target: Target) -> None:
    """nginx may connect to the app's socket, and nobody else but root and the app."""
    if not target.app.listen.startswith("/"):
        pytest.skip("the app listens on TCP")
    nginxs = target.ask("front.may_connect", target.app.listen, "www-data", nginx.GROUP)
    judge.holds(nginxs, f"nginx may not connect to {target.app.listen}", "see systemd_socket_group")
    strangers = target.ask("front.may_connect", target.app.listen, "nobody", "nogroup")
    judge.holds(not strangers, f"every user may connect to {target.app.listen}", "see systemd_socket_mode")


def test_client_address(target: Target, front: nginx.Settings, name: str) -> None:
    """The app knows the address of a client behind nginx."""
    if target.app.runtime not in ("systemd", "cron"):
        pytest.skip("the app's log is in its container")
    _get(target, front, name, target.app.health)
    log = f"{target.app.logs}/access.log"
    lines = [json.loads(line) for line in target.output("tail -n 100 %s", log).splitlines()]
    known = [line["remote_addr"] for line in lines if line["user_agent"] == "carboy-verify" and line["remote_addr"]]
    judge.holds(known, f"{log} does not know who asked through nginx", target.repair)


def test_static(target: Target, front: nginx.Settings) -> None:
    """Every static file can be read by nginx."""
    if not front.static:
        pytest.skip("nginx_static is not set")
    folders = [f"{front.public}/now{path}" for path in front.static]
    for folder in folders:
        judge.holds(target.host.file(folder).is_directory, f"there is no {folder}", target.repair)
        found = target.output("find %s ! -perm -o=r", f"{folder}/").splitlines()
        judge.none(found, "nginx cannot read", "chmod o+r these in the app's source, then deploy")


def test_access_log(target: Target, front: nginx.Settings, name: str) -> None:
    """Each request is a line of JSON that only the right people can read, and the log is rotated."""
    _get(target, front, name, target.app.health)
    path = target.app.health.partition("?")[0]
    lines = [json.loads(line) for line in target.output("tail -n 1000 %s", front.access_log).splitlines()]
    ours = [line for line in lines if (line["user_agent"], line["request_path"]) == ("carboy-verify", path)]
    judge.holds(ours, f"{front.access_log} has no line of a request for {path} just now", target.repair)
    judge.none(target.output("find %s -perm /007", front.access_log).splitlines(), "open to all", "chmod o= this")
    said = target.host.run("logrotate -d /etc/logrotate.d/nginx").stderr
    judge.holds(f"considering log {front.access_log}" in said, f"nothing rotates {front.access_log}", "see logrotate")


def _get(target: Target, front: nginx.Settings, name: str, path: str) -> Any:
    secure = bool(front.pair)
    return target.ask("front.get", front.tls_port if secure else front.port, name, path, "yes" if secure else "no")
