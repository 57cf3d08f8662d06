"""What the role nginx takes and refuses before a host is contacted, and what it declares."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from carboy.applier.nginx.site import Site
from carboy.catalog import Content
from carboy.declaration import Declaration, declare
from carboy.errors import DeclarationError
from carboy.inventory import Host
from tests.support.certificates import DAY, Authority

NAME = "example.org"
ACCEPTED: dict[str, list[Any]] = {
    "nginx_upstreams": [["127.0.0.1:8001", "[::1]:8002", "unix:/run/x.sock"]],
    "nginx_trusted_proxies": [["10.0.0.0/8", "2001:db8::1"]],
    "nginx_aliases": [["www.example.org"]],
    "nginx_headers": [{}, {"X-Frame-Options": "", "Content-Security-Policy": "default-src 'self'; img-src *"}],
    "nginx_certificate": ["", "self-signed"],
    "nginx_streaming": [["/events", "/ws/chat"]],
    "nginx_static": [{"/static": "app/templates"}, {"/a/b": "app"}],
    "nginx_hsts": [0, "365d"],
    "nginx_extra": ["location = /x { return 204; }"],
    "nginx_rate": [0, 50],
}
REFUSED: dict[str, list[Any]] = {
    "nginx_port": [0, 65536, "http"],
    "nginx_tls_port": [80],
    "nginx_upstreams": [["localhost"], ["http://127.0.0.1:8000"], ["127.0.0.1:80; }"]],
    "nginx_trusted_proxies": [["10.0.0.1/8"], ["everybody"]],
    "nginx_aliases": [["www.example.org;"], ["a b"]],
    "nginx_headers": [{"X-A b": "x"}, {"X-A": 'a"b'}, {"X-A": "$host"}, {"X-A": "a\nb"}],
    "nginx_certificate": ["/no/such/file.pem"],
    "nginx_key": ["/no/such/file.key"],
    "nginx_streaming": [["events"], ["/events/"], ["/a b"], ["/a;"], ["/../x"]],
    "nginx_static": [
        {"/static/": "app"},
        {"/": "app"},
        {"/static": "/etc"},
        {"/static": "../x"},
        {"/static": "no/such"},
    ],
    "nginx_timeout": [0, "500ms"],
    "nginx_buffer": ["1K", "2M"],
    "nginx_body_max": ["ten"],
    "nginx_rate": [-1, "10r/s"],
    "nginx_burst": [-1],
    "nginx_folder": ["sites-enabled"],
}


def declared(**variables: Any) -> Declaration:
    """What is declared of a host on which all else is right."""
    app = {"app_wsgi": "app.wsgi:app", "app_name": "hello", "app_source": ".", "app_include": ["app"]}
    front = {"app_proxy": "nginx", "app_listen": "/run/hello.sock", "app_domain": NAME}
    return declare(Host("prod1", {**app, "app_requirements": "app/requirements.txt", **front, **variables}, {}))


def text(*, modern: bool = True, **variables: Any) -> str:
    """The server file as nginx would read it."""
    site = _site(**variables)
    content = site.text if modern else site.old_text
    assert isinstance(content, Content)
    return content.text()


def _site(**variables: Any) -> Site:
    [site] = [resource for _, resource in declared(**variables).catalog.entries if isinstance(resource, Site)]
    return site


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs certificates here."""
    return Authority(tmp_path_factory.mktemp("certificates"))


def pair(files: tuple[Path, Path]) -> dict[str, str]:
    """The settings that name a certificate and its key."""
    return {"nginx_certificate": str(files[0]), "nginx_key": str(files[1])}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in ACCEPTED.items() for value in values])
def test_accepted(name: str, value: Any) -> None:
    """What nginx could mean something by is not refused."""
    declared(**{name: value})


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in REFUSED.items() for value in values])
def test_refused(name: str, value: Any) -> None:
    """What nginx would refuse, or understand as something else, is found here, and the error names the setting."""
    with pytest.raises(DeclarationError) as caught:
        declared(**{name: value})
    assert name in str(caught.value) or caught.value.what.startswith("nginx_key: a certificate needs its key")


def test_nobody_gets_past_nginx() -> None:
    """An app that clients could reach beside nginx is refused, since they could then say who they are."""
    with pytest.raises(DeclarationError, match=r"app_listen is 0\.0\.0\.0:8000") as caught:
        declared(app_listen="0.0.0.0:8000")
    assert caught.value.hint == "write app_listen: /run/hello.sock"


def test_settings_without_proxy_are_not_looked_at() -> None:
    """Where nothing stands before the app its nginx_* settings declare nothing and cost nothing."""
    plain = declared(app_proxy="none", app_domain="", nginx_certificate="/no/such/file.pem", app_listen="0.0.0.0:8000")
    assert "nginx" not in plain.roles
    [release] = [each for _, each in plain.catalog.entries if each.title().startswith("release")]
    assert "carboy_proxied.py" not in release.files  # type: ignore[attr-defined]


def test_a_sound_certificate_is_accepted(authority: Authority) -> None:
    """A certificate for all names, with its chain and its key, is taken; the names on the host follow the content."""
    first = _site(**pair(authority.certify(NAME, "*.example.org")), nginx_aliases=["www.example.org"])
    second = _site(**pair(authority.certify(NAME, "*.example.org")), nginx_aliases=["www.example.org"])
    assert [mode for mode, _ in first.files.values()] == ["0644", "0600"]
    assert not set(first.files) & set(second.files)
    assert first.mark != second.mark


def _cut(files: tuple[Path, Path]) -> tuple[Path, Path]:
    """The certificate of somebody else's authority behind the first one."""
    other = Authority(files[0].parent)
    own = files[0].read_text().partition("-----END CERTIFICATE-----\n")
    files[0].write_text(own[0] + own[1] + other.certify("x.example")[0].read_text())
    return files


WRONG_PAIRS: dict[str, tuple[str, str]] = {
    "other key": ("nginx_key", "it is not the key of the certificate"),
    "expired": ("nginx_certificate", "it expired on "),
    "another name": ("nginx_certificate", "it is not for example.org"),
    "no certificate": ("nginx_certificate", "is no PEM certificate"),
    "no key": ("nginx_key", "is no PEM key"),
    "encrypted key": ("nginx_key", "is encrypted"),
    "no key file": ("nginx_key", "No such file or directory"),
    "weak key": ("nginx_key", "RSA of 1024 bits"),
    "broken chain": ("nginx_certificate", "the file is no chain"),
}


@pytest.fixture
def wrong(tmp_path: Path) -> dict[str, tuple[Path, Path]]:
    """A pair for each way in which one can be wrong."""

    def made(name: str = NAME, **more: Any) -> tuple[Path, Path]:
        return authority.certify(name, file=f"pair{len(list(tmp_path.iterdir()))}", **more)

    authority = Authority(tmp_path)
    plain, other = made(), made()
    weak = rsa.generate_private_key(65537, 1024)
    encrypted = tmp_path / "encrypted.key"
    encrypted.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n")
    return {
        "other key": (plain[0], other[1]),
        "expired": made(valid=-DAY),
        "another name": made("www.example.org"),
        "no certificate": (plain[1], plain[1]),
        "no key": (plain[0], plain[0]),
        "encrypted key": (plain[0], _encrypted(tmp_path, plain[1])),
        "no key file": (plain[0], tmp_path / "none"),
        "weak key": made(key=weak),
        "broken chain": _cut(made()),
    }


def _encrypted(folder: Path, key: Path) -> Path:
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    private = load_pem_private_key(key.read_bytes(), None)
    locked = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    (folder / "locked.key").write_bytes(locked)
    return folder / "locked.key"


@pytest.mark.parametrize("kind", WRONG_PAIRS)
def test_a_pair_that_nginx_could_not_use(kind: str, wrong: dict[str, tuple[Path, Path]]) -> None:
    """Each way in which certificate and key can be wrong is one clear error that names the setting."""
    setting, what = WRONG_PAIRS[kind]
    with pytest.raises(DeclarationError) as caught:
        declared(**pair(wrong[kind]))
    assert caught.value.what.startswith(setting) and what in caught.value.what
    assert caught.value.hint and caught.value.exit_code == 3


def test_a_certificate_without_key() -> None:
    """A certificate alone is refused, and so is a key alone."""
    with pytest.raises(DeclarationError, match="a certificate needs its key"):
        declared(nginx_certificate=__file__)
    with pytest.raises(DeclarationError, match="there is no certificate"):
        declared(nginx_key=__file__)


def test_a_warning_two_weeks_ahead(authority: Authority) -> None:
    """A certificate that expires within two weeks is used with a warning, one that stays longer without."""
    soon = declared(**pair(authority.certify(NAME, valid=timedelta(days=9, hours=1))))
    assert len(soon.warnings) == 1 and "the certificate expires in 9 days" in soon.warnings[0]
    assert declared(**pair(authority.certify(NAME, valid=20 * DAY))).warnings == []


def test_the_key_is_in_no_text(authority: Authority) -> None:
    """What travels openly of a key is its digest: not the catalog, not the server file, not the plan holds it."""
    files = authority.certify(NAME)
    secret = files[1].read_text().splitlines()[1]
    found = declared(**pair(files))
    assert secret not in str(found.catalog.wire()) + text(**pair(files)) + repr(found.settings["nginx"])


def test_http2_in_the_words_of_each_version() -> None:
    """Before 1.25.1 HTTP/2 is a word of `listen`, from then on a directive; or it is off."""
    tls = {"nginx_certificate": "self-signed"}
    assert "listen 443 ssl;" in text(**tls) and "http2 on;" in text(**tls)
    assert "listen 443 ssl http2;" in text(**tls, modern=False) and "http2 on;" not in text(**tls, modern=False)
    assert "http2" not in text(**tls, nginx_http2=False, modern=False)


def test_foreign_names_with_tls() -> None:
    """The block that other names end in listens for TLS as the app's does, before that, with the same protocols."""
    for modern in (True, False):
        first, *_, app = re.split(r"^server \{", text(nginx_certificate="self-signed", modern=modern), flags=re.M)[1:]
        lines = [line for line in app.splitlines() if "443" in line or "ssl" in line or "http2" in line]
        assert len(lines) > 5 and set(lines) <= set(first.splitlines())


def test_what_needs_tls_is_not_promised_without() -> None:
    """Without a certificate nothing redirects, and no browser is told to insist on TLS."""
    plain = text()
    assert "443" not in plain and "308" not in plain and "Strict-Transport-Security" not in plain
    assert "listen 80;" in plain and f"server_name {NAME};" in plain


def test_names_are_the_apps_own() -> None:
    """Whatever is named for all of nginx has the app's name in it, so that two apps fit on one host."""
    several = {"nginx_rate": 5, "nginx_trusted_proxies": ["10.0.0.0/8"], "nginx_certificate": "self-signed"}
    for app, other in (("hello", "shop"), ("shop", "hello")):
        found = text(app_name=app, app_listen=f"/run/{app}.sock", **several)
        named = [line.split()[1:] for line in found.splitlines() if line.split()[:1] in (["upstream"], ["log_format"])]
        assert all(app in words[0] for words in named) and other not in found
        assert f"zone=carboy_{app}:" in found and f"shared:carboy_{app}_tls:" in found


def test_only_the_default_site_is_asked_for_all_names() -> None:
    """With a domain nginx leaves all other names to other sites; without one the app answers for every name."""
    assert "default_server" not in text()
    assert "listen 80 default_server;" in text(app_domain="") and _site(app_domain="").any_name


def test_the_socket_is_open_to_nginx() -> None:
    """Where nginx stands before the app, its group may connect unless another one is named."""

    def group(**variables: Any) -> str:
        [release] = [each for _, each in declared(**variables).catalog.entries if hasattr(each, "gate")]
        unit = release.files["units/hello.socket"][1].text()
        return next(line for line in unit.splitlines() if line.startswith("SocketGroup="))

    assert group() == "SocketGroup=www-data"
    assert group(systemd_socket_group="web") == "SocketGroup=web"
    assert group(app_proxy="none", app_domain="") == "SocketGroup=hello"


def test_a_change_of_nginx_alone_is_no_new_release() -> None:
    """What only nginx needs to know does not make another release of the app."""

    def release(**variables: Any) -> str:
        return next(each.title() for _, each in declared(**variables).catalog.entries if hasattr(each, "gate"))

    assert release() == release(nginx_rate=5, nginx_certificate="self-signed", nginx_hsts=0)
    assert release() != release(nginx_static={"/static": "app/templates"})


@pytest.mark.parametrize(("state", "proxy"), [("of", "nginx"), ("on", "none")])
def test_maintenance_is_refused(state: str, proxy: str) -> None:
    """A word that is neither on nor off, and an app without nginx, are found before a host is contacted."""
    from roles import nginx

    with pytest.raises(DeclarationError) as caught:
        nginx.maintenance(declared(app_proxy=proxy, app_domain="").settings, state, "")
    assert caught.value.hint


def test_the_maintenance_page() -> None:
    """The page has the declared text or the one that is given, as text and not as HTML."""
    from roles import nginx

    settings = declared(nginx_maintenance_text="Back at noon & later").settings
    assert "Back at noon &amp; later" in nginx.maintenance(settings, "on", "")["page"]
    assert "&lt;b&gt;" in nginx.maintenance(settings, "on", "<b>")["page"]
    assert nginx.maintenance(settings, "off", "")["page"] == ""
