"""nginx before the app on a real host, met by real clients: every behaviour that is promised, and every refusal."""

from __future__ import annotations

import json
import re
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from carboy.sandbox import HostOptions
from tests.host.conftest import site
from tests.host.nginx_clients import NAME, Front, Visitor, until
from tests.support.certificates import Authority
from tests.support.load import load

SITE = "/etc/nginx/sites-enabled/zz-carboy-hello.conf"
ROLES = ["app", "systemd", "logrotate", "nginx", "release"]
NEIGHBOUR = "server { listen 80; server_name other.example; location / { return 200 neighbour; } }"


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """An app behind nginx on a host that has a site of somebody else's, too."""
    ports = HostOptions(extra=("--publish=127.0.0.1::80", "--publish=127.0.0.1::443"))
    with site(tmp_path_factory.mktemp("nginx"), ports) as made:
        authority = Authority(made.folder)
        certificate, key = authority.certify(NAME, "*.example.org")
        shutil.copy(Path(__file__).with_name("nginx_app.py"), made.app / "nginx_app.py")
        static = made.app / "assets"
        (static / ".git").mkdir(parents=True)
        (static / ".git/config").write_text("a secret")
        (static / "site.css").write_text("body { color: navy }\n")
        (static / "old.1.js").write_text("1")
        made.variables |= {
            "carboy_roles": ROLES,
            "app_wsgi": "nginx_app:app",
            "app_proxy": "nginx",
            "app_listen": "/run/hello/web.sock",
            "app_domain": NAME,
            "nginx_aliases": ["www.example.org"],
            "nginx_certificate": str(certificate),
            "nginx_key": str(key),
            "nginx_streaming": ["/events", "/socket"],
            "nginx_static": {"/static": "assets"},
        }
        made.invoke("deploy")
        made.shell(f"echo '{NEIGHBOUR}' >/etc/nginx/sites-enabled/other; nginx -s reload")
        yield Front(made, authority, made.host.container.ports())


def test_nothing_to_do_twice(front: Front) -> None:
    """A second deploy changes nothing."""
    assert front.deploy().changed == []


def test_http2(front: Front) -> None:
    """A client that can speak HTTP/2 gets it, with a certificate that it trusts."""
    url = f"https://{NAME}:{front.ports[443]}/who"
    curl = ["curl", "-sS", "--http2", "--cacert", str(front.authority.path), "--resolve"]
    command = [*curl, f"{NAME}:{front.ports[443]}:127.0.0.1", "-w", "\n%{http_version} %{http_code}", url]
    body, _, told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.rpartition("\n")
    assert told == "2 200"
    assert json.loads(body)["scheme"] == "https"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_tls_is_refused(front: Front) -> None:
    """A client that can do no better than TLS 1.1 is turned away."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version, context.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    plain = front.connect(tls=False, port=443)
    with plain, pytest.raises((ssl.SSLError, ConnectionResetError)):
        context.wrap_socket(plain, server_hostname=NAME)


def test_redirect(front: Front) -> None:
    """Who comes without TLS is sent to the same place with it, whatever the method."""
    for body in (None, "x=1"):
        answer = front.get("/a?b=c", tls=False, body=body)
        assert (answer.status, answer.headers["location"]) == (308, f"https://{NAME}/a?b=c")


def test_foreign_names_do_not_get_to_the_app(front: Front) -> None:
    """A client that asks for another name, in the handshake or after it, does not meet the app."""
    assert [front.get("/who", Host="foreign.example", tls=tls).status for tls in (True, False)] == [404, 404]
    foreign = front.connect(tls=False, port=443)
    with ssl._create_unverified_context().wrap_socket(foreign, server_hostname="foreign.example") as secured:
        secured.sendall(b"GET /who HTTP/1.0\r\nHost: foreign.example\r\n\r\n")
        assert secured.recv(100).startswith(b"HTTP/1.1 404 ")


def test_client_address_cannot_be_forged(front: Front) -> None:
    """App and logs see the address that a client has, whatever it writes into headers; scheme and host as well."""
    address = front.get("/who", X_Tracking_Id="plain").json()["address"]
    forged = {"X_Real_IP": "192.0.2.1", "X_Forwarded_For": "192.0.2.2", "X_Forwarded_Proto": "http"}
    more = {"X_Forwarded_Host": "evil.example", "X_Forwarded_Port": "99", "Forwarded": "for=192.0.2.3", "Proxy": "evil"}
    seen = front.get("/who?secret=1", X_Tracking_Id="forged", X_Forwarded_Ssl="off", **forged, **more).json()
    assert re.fullmatch(r"[0-9.]+|[0-9a-f:]+", address) and not address.startswith("192.0.2")
    assert (seen["address"], seen["X-Forwarded-For"], seen["scheme"]) == (address, address, "https")
    assert (seen["host"], seen["X-Forwarded-Host"]) == (NAME, NAME)
    assert {seen[name] for name in ("X-Forwarded-Port", "Forwarded", "Proxy", "Upgrade")} == {None}
    for log in ("/var/log/hello/access.log", "/var/log/nginx/hello.access.log"):
        line = json.loads(front.site.shell(f"grep forged {log}"))
        assert (line["remote_addr"], line["request_path"], line["status_code"]) == (address, "/who", 200)


def test_only_websockets_may_upgrade(front: Front) -> None:
    """HTTP/2 in plain text, with which a client could get past nginx, is not passed on."""
    seen = front.get("/who", Upgrade="h2c", HTTP2_Settings="AAMAAABkAAQAAP__").json()
    assert seen["Upgrade"] is None


def test_headers(front: Front) -> None:
    """Security headers are on every answer, nginx's own refusals too; what the app says of itself is not overruled."""
    own, refusal = front.get("/health").headers, front.get("/carboy-maintenance").headers
    for headers in (own, refusal):
        assert headers["strict-transport-security"] == "max-age=86400"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "strict-origin-when-cross-origin"
        assert headers["server"] == "nginx"
    assert (own["x-frame-options"], refusal["x-frame-options"]) == ("DENY", "SAMEORIGIN")
    assert "strict-transport-security" not in front.get("/", tls=False).headers


def test_gzip_and_buffers(front: Front) -> None:
    """Long text is compressed for who wants that, and long headers fit."""
    plain, packed = front.get("/big"), front.get("/big", Accept_Encoding="gzip")
    assert (plain.status, len(plain.headers["x-long"]), len(plain.body)) == (200, 9_000, 70_000)
    assert (packed.headers["content-encoding"], packed.headers["vary"]) == ("gzip", "Accept-Encoding")
    assert len(packed.body) < 5_000


def test_body_size(front: Front) -> None:
    """A body that is too large is refused before the app sees it."""
    answer = front.get("/who", body=b"x" * (11 << 20))
    assert (answer.status, "x-release" in answer.headers) == (413, False)
    assert front.get("/who", body=b"x" * (9 << 20)).status == 200


def test_events_arrive_one_by_one(front: Front) -> None:
    """The first event is with the client before the second one is made."""
    with front.connect() as connection:
        connection.sendall(f"GET /events?heard=now HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
        stream = connection.makefile("rb")
        assert _until(stream, b"data: first\n")
        front.get("/heard/now")
        assert _until(stream, b"data: second\n")


def _until(stream: Any, wanted: bytes) -> bool:
    return any(line == wanted for line in iter(stream.readline, b"0\r\n"))


def test_websocket(front: Front) -> None:
    """A WebSocket is opened through nginx, and frames go both ways."""
    lines = [f"GET /socket HTTP/1.1\r\nHost: {NAME}", "Upgrade: websocket", "Connection: Upgrade"]
    key = ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", "", ""]
    with front.connect() as connection:
        connection.sendall("\r\n".join([*lines, *key]).encode())
        stream = connection.makefile("rb")
        assert stream.readline().startswith(b"HTTP/1.1 101 ")
        head = b"".join(iter(stream.readline, b"\r\n"))
        assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head
        for text in (b"one", b"two"):
            connection.sendall(bytes([0x81, 0x80 | len(text)]) + bytes(4) + text)
            assert stream.read(2 + len(text)) == bytes([0x81, len(text)]) + text
        connection.sendall(bytes([0x88, 0x80]) + bytes(4))


def test_static_files(front: Front) -> None:
    """nginx itself serves the files of the release, for caches to keep; hidden ones and others it does not have."""
    found = front.get("/static/site.css")
    assert (found.body, found.headers["content-type"]) == ("body { color: navy }\n", "text/css")
    assert (found.headers["cache-control"], "x-release" in found.headers) == ("max-age=3600", False)
    assert front.get("/static/.git/config").status == 404
    assert front.get("/static/../nginx_app.py").status == 404
    assert front.site.shell("stat -c %a /srv/hello/current/tree") == "750"


def test_rate_limit_timeout_and_a_trusted_proxy(front: Front) -> None:
    """Each client has its rate and burst, known by the address that a trusted proxy names; a slow app is not awaited.

    All of that is a change of nginx alone: the same release serves, nginx was not restarted.
    """
    before, main = front.site.serving(), front.main_process()
    gateway = front.get("/who").json()["address"]
    limits = ("nginx_rate=1", "nginx_burst=4", "nginx_timeout=1s", "nginx_gzip=false")
    outcome = front.deploy(*limits, f'{{"nginx_trusted_proxies": ["{gateway}"]}}')
    assert outcome.changed == ["nginx site hello"]
    assert (front.site.serving(), front.main_process()) == (before, main)
    answers = [front.get("/who", X_Forwarded_For="192.0.2.66, 203.0.113.7") for _ in range(8)]
    assert [answer.status for answer in answers[:5]] == [200] * 5
    assert answers[0].json()["address"] == "203.0.113.7"
    refused = answers[-1]
    assert (refused.status, refused.headers["retry-after"], "x-frame-options" in refused.headers) == (429, "1", True)
    assert front.get("/asleep", X_Forwarded_For="203.0.113.8").status == 504
    assert front.get("/static/site.css", X_Forwarded_For="203.0.113.7").status == 200
    assert front.deploy().changed == ["nginx site hello"]


REFUSED = {
    "what nginx -t refuses": (["nginx_extra=nonsense;"], "unknown directive", "nginx refuses"),
    "a port of somebody else's": (["nginx_port=22"], "sshd", "port 22 is taken by sshd"),
    "a name of somebody else's": (
        ['{"nginx_aliases": ["other.example"]}', "nginx_certificate=self-signed", '{"nginx_key": null}'],
        "conflicting server name",
        "another site of this host answers for other.example",
    ),
    "a folder that nginx does not read": (["nginx_folder=/etc/nginx/snippets"], "no include", "nginx does not read"),
}


@pytest.mark.parametrize(("settings", "fact", "what"), REFUSED.values(), ids=REFUSED)
def test_a_refused_configuration_changes_nothing(front: Front, settings: list[str], fact: str, what: str) -> None:
    """What cannot be is found before anything is replaced: exit code 1, nginx serves on, no new release is begun."""
    before = front.site.shell(f"cat {SITE}"), front.main_process(), front.site.serving()
    front.site.edit("nginx_app.py", '"""Answer a probe."""', '"""Answer a probe, differently."""')
    outcome = front.deploy(*settings, expect=1)
    front.site.edit("nginx_app.py", '"""Answer a probe, differently."""', '"""Answer a probe."""')
    [failed] = outcome.of("failed")
    assert what in failed["what"] and fact in failed["details"]
    assert (front.site.shell(f"cat {SITE}"), front.main_process(), front.site.serving()) == before
    assert front.get("/health").status == 200
    assert front.get("/", "other.example", tls=False).body == "neighbour"
    assert front.site.shell("find /etc/nginx -name '.*carboy*'; nginx -q -t 2>&1") == ""


def test_another_folder(front: Front) -> None:
    """The site moves to another folder that nginx reads, and back; none is left behind."""
    moved = "/etc/nginx/conf.d/zz-carboy-hello.conf"
    assert front.deploy("nginx_folder=/etc/nginx/conf.d").changed == ["nginx site hello"]
    assert front.site.shell(f"ls {SITE} {moved} 2>&1 | grep -v 'No such'; nginx -t -q 2>&1") == moved
    assert front.get("/health").status == 200
    assert front.deploy().changed == ["nginx site hello"]
    assert front.site.shell(f"ls {SITE} {moved} 2>&1 | grep -v 'No such'; nginx -t -q 2>&1") == SITE


def test_a_lost_reload_is_caught_up(front: Front) -> None:
    """Where nginx runs with another configuration than that on disk, the next deploy has it reload."""
    front.site.shell(f"cp {SITE} /root/kept; sed -i s/max-age=86400/max-age=1/ {SITE}; nginx -t -q")
    mark = front.site.shell(f"grep -o 'return 200 [0-9a-f]\\{{16\\}}' {SITE}").split()[-1]
    front.site.shell(f"sed -i s/{mark}/0123456789abcdef/ {SITE}; nginx -s reload")
    until(lambda: front.get("/health").headers["strict-transport-security"] == "max-age=1")
    front.site.shell(f"cp /root/kept {SITE}")
    [changed] = [each for each in front.deploy().of("resource") if each["status"] == "changed"]
    assert changed["drift"] == {"runs with": ["0123456789abcdef", mark]}
    assert front.get("/health").headers["strict-transport-security"] == "max-age=86400"


def test_what_does_not_take_goes_back(front: Front) -> None:
    """A configuration that passes every test and that nginx still cannot run with is taken back."""
    before = front.site.shell(f"cat {SITE}")
    # Between the test and the reload, as it were: nginx -t may bind there, the nginx that runs may not.
    hold = "import socket, time; s = socket.socket(); s.bind(('127.0.0.9', 8081)); s.listen(); time.sleep(600)"
    front.site.shell(f'systemd-run --quiet --unit=hold python3 -c "{hold}"')
    outcome = front.deploy("nginx_extra=listen 127.0.0.9:8081;", expect=1)
    front.site.shell("systemctl stop hold")
    [failed] = outcome.of("failed")
    assert "nginx does not take the new configuration" in failed["what"] and "127.0.0.9:8081" in failed["details"]
    assert front.site.shell(f"cat {SITE}") == before
    assert front.get("/health").status == 200


def test_renewal_of_the_certificate(front: Front) -> None:
    """A renewed certificate under the same name is taken into use by a reload; the old key goes, no key is shown."""
    old, main = front.get("/health").peer, front.main_process()
    certificate, key = front.authority.certify(NAME, "*.example.org")
    plan = front.site.invoke("plan", expect=2)
    outcome = front.deploy()
    assert outcome.changed == ["nginx site hello"]
    own, end, _ = certificate.read_text().partition("-----END CERTIFICATE-----\n")
    assert front.get("/health").peer == ssl.PEM_cert_to_DER_cert(own + end) != old
    assert front.main_process() == main
    listed = front.site.shell("stat -c '%a %U %n' /etc/nginx/carboy/hello /etc/nginx/carboy/hello/* | sort").split("\n")
    assert [line.rpartition(".")[0][:9] if "." in line else line for line in listed] == [
        "600 root ",
        "644 root ",
        "700 root /etc/nginx/carboy/hello",
    ]
    secret = key.read_text().splitlines()[1]
    assert secret not in plan.stdout + plan.stderr + outcome.stdout + outcome.stderr
    assert front.site.shell(f"grep -rl {secret} /srv /var/lib/carboy /var/log /tmp || true") == ""


def test_maintenance(front: Front) -> None:
    """The page is there at once, for every path and method, through a deploy and a reboot, and is gone at once."""
    [on] = front.site.invoke("maintenance", "on", "--text", "Back <soon>").of("maintenance")
    for path, body in (("/", None), ("/who", "x=1"), ("/static/site.css", None), ("/events", None)):
        answer = front.get(path, body=body)
        assert (answer.status, answer.headers["retry-after"]) == (503, "300")
        assert "Back &lt;soon&gt;" in answer.body and "x-frame-options" in answer.headers
    front.site.edit("nginx_app.py", 'return "good morning"', 'return "good evening"')
    assert "cutover hello" in front.deploy().changed
    front.site.host = front.site.host.reboot()
    front.ports.update(front.site.host.container.ports())
    assert front.get("/").status == 503
    assert [told["since"] for told in front.site.invoke("status").of("maintenance")] == [on["since"]]
    [off] = front.site.invoke("maintenance", "off").of("maintenance")
    assert (front.get("/who").status, off["since"]) == (200, None)
    assert front.site.invoke("status").of("maintenance") == []


def test_nothing_is_dropped(front: Front) -> None:
    """A deploy that has nginx reload and a rollback fail no request, with TLS and without, and no page lacks its files.

    Pages of the release before still find their files after the deploy, and those of the one after do after a rollback.
    """
    plain = ("nginx_redirect=false", "app_domain=", '{"nginx_aliases": []}')
    front.deploy(*plain)
    assets = front.site.app / "assets"
    (assets / "old.1.js").unlink()
    (assets / "new.2.js").write_text("2")
    with load(front.ports[80], clients=8) as requests, Visitor(front) as visitor:
        assert {"cutover hello", "nginx site hello"} <= set(front.deploy(*plain, "nginx_static_age=2h").changed)
        visitor.goes_on()
        assert [front.get(f"/static/{name}").body for name in ("old.1.js", "new.2.js")] == ["1", "2"]
        front.site.invoke("rollback", *(word for each in plain for word in ("-e", each)))
        visitor.goes_on()
        assert [front.get(f"/static/{name}").body for name in ("old.1.js", "new.2.js")] == ["1", "2"]
    assert (requests.failures, visitor.failures) == ([], [])
    assert len(requests.releases) == 2 and requests.requests > 100 and visitor.count > 20


def test_self_signed_for_any_name(front: Front) -> None:
    """Without a domain nginx answers for every name instead of Debian's page; the host makes a certificate, once."""
    alone = ("nginx_certificate=self-signed", '{"nginx_key": null, "nginx_aliases": []}', "app_domain=")
    front.deploy(*alone)
    plain = front.connect(tls=False, port=443)
    with plain, ssl._create_unverified_context().wrap_socket(plain) as secured:
        shown = secured.getpeercert(True) or b""
    made = front.site.shell("cat /etc/nginx/carboy/hello/self-signed-*.pem")
    assert ssl.DER_cert_to_PEM_cert(shown).strip() in made and "PRIVATE KEY" in made
    assert front.site.shell("ls /etc/nginx/carboy/hello | wc -l; stat -c %a /etc/nginx/carboy/hello/*") == "1\n600"
    assert front.get("/x", "any.example", tls=False).status == 308
    assert front.get("/", "other.example", tls=False).body == "neighbour"
    assert front.deploy(*alone).changed == []


def test_logs_are_rotated(front: Front) -> None:
    """The rule of nginx's package rotates the app's log too, and nginx goes on in the new file."""
    log = "/var/log/nginx/hello.access.log"
    front.site.shell(f"logrotate -f /etc/logrotate.d/nginx; test -e {log}.1")
    front.get("/x", tls=False)
    until(lambda: front.site.shell(f"wc -c <{log}") != "0")
    assert json.loads(front.site.shell(f"tail -n 1 {log}"))["request_path"] == "/x"
    assert front.site.shell(f"stat -c '%a %G' {log}") == "640 adm"


def test_verify(front: Front) -> None:
    """`invoke verify` finds nothing on a fresh deploy, and names what was broken since."""
    front.deploy()
    assert [check for check in front.site.invoke("verify").of("check") if check["outcome"] == "failed"] == []
    front.site.shell("chmod 0666 /run/hello/web.sock; chmod 0644 /etc/nginx/carboy/hello/*.key; touch /srv/hello/x")
    front.site.shell("systemctl --quiet disable nginx; sed -i s/86400/1/ " + SITE)
    outcome = front.site.invoke("verify", expect=1)
    failed = {check["check"] for check in outcome.of("check") if check["outcome"] == "failed"}
    assert {"socket", "keys", "started_at_boot", "site"} <= failed
