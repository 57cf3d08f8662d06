"""nginx in front of the app: TLS, limits, static files and a maintenance page; proven before it replaces anything."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from carboy import certificate
from carboy.applier.file import File
from carboy.applier.nginx.self_signed import SelfSigned
from carboy.applier.nginx.site import Site
from carboy.applier.package import Package
from carboy.applier.resource import Resource
from carboy.applier.service import Service
from carboy.catalog import Content, digest
from carboy.errors import DeclarationError
from carboy.inventory import Host
from carboy.project import ROOT
from carboy.settings import Duration, Size
from carboy.template import template
from roles.app import DOMAIN
from roles.app import Settings as App
from roles.server import Files

SELF_SIGNED = "self-signed"
GROUP = "www-data"
"""The group that Debian's nginx answers clients in."""
MARK = "the digest of all that this configuration is made of"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "strict-origin-when-cross-origin",
}
PATH = r"/[\w./~-]*[\w~-]"
CRON = "# Written by Carboy: starts nginx at boot, and within a minute if it died.\n* * * * * root %s\n"
START = "start-stop-daemon --start --quiet --oknodo --exec /usr/sbin/nginx"


@dataclass(frozen=True)
class Settings:
    """`nginx_*`: where it listens, what it lets in, and what it does for the app."""

    app: App
    port: int = 80
    tls_port: int = 443
    ipv6: bool = True
    aliases: tuple[str, ...] = ()
    certificate: str = ""
    key: Path | None = None
    redirect: bool = True
    http2: bool = True
    hsts: Duration = Duration(86400)
    headers: dict[str, str] = field(default_factory=lambda: dict(HEADERS))
    trusted_proxies: tuple[str, ...] = ()
    upstreams: tuple[str, ...] = ()
    connect_timeout: Duration = Duration(5)
    timeout: Duration = Duration(60)
    client_timeout: Duration = Duration(15)
    buffer: Size = Size(16 * 1024)
    body_max: Size = Size(10 * 1024**2)
    rate: int = 0
    burst: int = 20
    gzip: bool = True
    streaming: tuple[str, ...] = ()
    streaming_timeout: Duration = Duration(3600)
    static: dict[str, str] = field(default_factory=dict)
    static_age: Duration = Duration(3600)
    maintenance_text: str = "We are working on this site. It will be back in a few minutes."
    maintenance_retry: Duration = Duration(300)
    extra: str = ""
    folder: str = "/etc/nginx/sites-enabled"

    @property
    def used(self) -> bool:
        """Whether nginx stands before the app at all."""
        return self.app.proxy == "nginx"

    @property
    def names(self) -> tuple[str, ...]:
        """The names that nginx answers for; none means any."""
        return (self.app.domain, *self.aliases) if self.app.domain else ()

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where the app is, as nginx writes it."""
        return self.upstreams or (self.app.bind,)

    @property
    def group(self) -> str:
        """The group that may connect to the app's socket; empty where the app has none but its own."""
        return GROUP if self.used else ""

    @property
    def flag(self) -> str:
        """The maintenance page, which is shown as long as it is there."""
        return f"{self.app.home}/maintenance.html"

    @property
    def public(self) -> str:
        """Where links lead to the static files of the releases that may be asked for."""
        return f"{self.app.home}/public"

    @property
    def access_log(self) -> str:
        """Requests as JSON; among nginx's other logs, so that what rotates those rotates it."""
        return f"/var/log/nginx/{self.app.name}.access.log"

    @property
    def error_log(self) -> str:
        """What nginx says of this site."""
        return f"/var/log/nginx/{self.app.name}.error.log"

    @property
    def sent(self) -> dict[str, str]:
        """The headers to add, without those that were emptied."""
        return {name: value for name, value in self.headers.items() if value}

    @property
    def given(self) -> tuple[Path, Path] | None:
        """The certificate and the key on this machine, where both are named."""
        if self.certificate in ("", SELF_SIGNED) or not self.key:
            return None
        return ROOT / Path(self.certificate).expanduser(), ROOT / self.key.expanduser()

    @property
    def self_signed(self) -> SelfSigned | None:
        """The certificate that the host makes itself."""
        if self.certificate != SELF_SIGNED:
            return None
        names = self.names or ("localhost",)
        return SelfSigned(f"{self.home}/self-signed-{digest(names)[:8]}.pem", names)

    @property
    def home(self) -> str:
        """Where the host keeps certificates and keys for this app."""
        return f"/etc/nginx/carboy/{self.app.name}"

    @cached_property
    def secrets(self) -> Files:
        """Certificate and key by name: a name tells the content, so that old and new can lie side by side."""
        if not self.given:
            return {}
        texts = [Content.of(path.read_bytes()) for path in self.given]
        pair = digest(texts)[:16]
        return {f"{pair}.pem": ("0644", texts[0]), f"{pair}.key": ("0600", texts[1])}

    @property
    def pair(self) -> tuple[str, str] | None:
        """Where the host has the certificate and the key; nothing without TLS."""
        if self.self_signed:
            return self.self_signed.path, self.self_signed.path
        names = [f"{self.home}/{name}" for name in self.secrets]
        return (names[0], names[1]) if names else None

    def files(self) -> Files:
        """What a release carries for nginx, by path, with the mode: how the app learns who asks, and static files."""
        if not self.used:
            return {}
        script = {"publish.sh": ("0644", template("nginx/publish.sh.j2", s=self))} if self.static else {}
        return {"carboy_proxied.py": ("0644", template("nginx/proxied.py")), **script}

    @property
    def checks(self) -> tuple[str, ...]:
        """Commands that a release must pass before it is complete; {path} is its folder."""
        return ("sh {path}/publish.sh",) if self.used and self.static else ()

    def validate(self) -> Iterator[tuple[str, ...]]:
        """What the types cannot say."""
        if self.used:
            yield from self._wrong_addresses()
            yield from self._wrong_names()
            yield from self._wrong_certificate()
            yield from self._wrong_numbers()
            yield from self._wrong_paths()

    def warnings(self) -> Iterator[str]:
        """What is right today and will not be for long."""
        if self.used and self.given:
            warning = certificate.expires_soon(certificate.load(self.given[0].read_bytes()))
            yield from [f"nginx_certificate: {warning}"] if warning else []

    def _wrong_addresses(self) -> Iterator[tuple[str, ...]]:
        if self.app.runtime in ("systemd", "cron") and not self.app.listen.startswith("/"):
            what = f"app_listen is {self.app.listen}, where clients get past nginx and can say who they are"
            yield "upstreams", what, f"write app_listen: /run/{self.app.name}.sock"
        for address in self.upstreams:
            if not re.fullmatch(r"unix:/[\w./-]+|(\[[0-9a-fA-F:.]+\]|[\w.-]+):[0-9]{1,5}", address):
                yield "upstreams", f"{address!r} is neither HOST:PORT nor unix:/path"
        for network in self.trusted_proxies:
            if not _network(network):
                yield "trusted_proxies", f"{network!r} is no network", "write it like 10.0.0.0/8 or 2001:db8::1"

    def _wrong_names(self) -> Iterator[tuple[str, ...]]:
        if self.aliases and not self.app.domain:
            yield "aliases", "there is no app_domain that these could be aliases of", "set app_domain"
        for name in self.aliases:
            if not re.fullmatch(DOMAIN, name):
                yield "aliases", f"{name!r} is no name of a host"
        for name, value in self.headers.items():
            if not re.fullmatch("[A-Za-z][A-Za-z0-9-]*", name):
                yield "headers", f"{name!r} is no name of a header"
            if not re.fullmatch(r'[^"$\\\x00-\x1f\x7f]*', value):
                yield "headers", f"the value of {name} has a quote, a dollar sign, a backslash or is not one line"

    def _wrong_certificate(self) -> Iterator[tuple[str, ...]]:
        if self.certificate in ("", SELF_SIGNED):
            if self.key:
                yield "key", "there is no certificate that it could be the key of", "set nginx_certificate"
        elif self.given:
            yield from certificate.problems(*self.given, self.names)
        else:
            yield "key", "a certificate needs its key", f"name its file, or write nginx_certificate: {SELF_SIGNED}"

    def _wrong_numbers(self) -> Iterator[tuple[str, ...]]:
        for name in ("port", "tls_port"):
            if not 0 < getattr(self, name) < 65536:
                yield name, f"{getattr(self, name)} is no port", "write 1 to 65535"
        if self.port == self.tls_port:
            yield "tls_port", f"{self.tls_port} is nginx_port too"
        for name in ("rate", "burst"):
            if getattr(self, name) < 0:
                yield name, f"{getattr(self, name)} is less than nothing"
        for name in ("connect_timeout", "timeout", "client_timeout", "streaming_timeout"):
            if getattr(self, name) < 1:
                yield name, f"{getattr(self, name):g} s is too short", "write at least 1s"
        if not 4096 <= self.buffer <= 1024**2:
            yield "buffer", f"{self.buffer} bytes are no size for a buffer", "write 4K to 1M"

    def _wrong_paths(self) -> Iterator[tuple[str, ...]]:
        for name in ("streaming", "static"):
            for path in getattr(self, name):
                if not re.fullmatch(PATH, path) or ".." in path:
                    yield name, f"{path!r} is no path of a URL", "write it like /static, without a slash at the end"
        if self.static and self.app.runtime not in ("systemd", "cron"):
            yield "static", f"with app_runtime: {self.app.runtime} the files are in the image, where nginx is not"
        for folder in self.static.values():
            if not re.fullmatch(r"[\w.-]+(/[\w.-]+)*", folder) or ".." in folder.split("/"):
                yield "static", f"{folder!r} is no folder of the app", "write it like app/static"
            elif self.app.source and not self.app.ref and not (self._source / folder).is_dir():
                yield "static", f"there is no folder {folder} in {self.app.source}"
        if not re.fullmatch(r"/[\w./-]+", self.folder):
            yield "folder", f"{self.folder!r} is no absolute path"

    @property
    def _source(self) -> Path:
        return ROOT / Path(self.app.source).expanduser()


def resources(host: Host, s: Settings) -> Iterator[Resource]:  # noqa: ARG001 - every role has this form
    """Declare nginx, its certificate, the app's site, and that it is there after a reboot."""
    yield Package(("nginx", "openssl") if s.self_signed else ("nginx",))
    if s.self_signed:
        yield s.self_signed
    yield site(s)
    if s.app.runtime == "cron":
        yield File("/etc/cron.d/carboy-nginx", Content.of(CRON % START))
    else:
        yield Service("nginx.service")


def site(s: Settings) -> Site:
    """The app's site, in the words of nginx from 1.25.1 on and in those of before."""
    texts = [_text(s, MARK, modern=modern) for modern in (True, False)]
    mark = digest(texts, s.secrets, s.self_signed, s.folder)[:16]
    return Site(
        app=s.app.name,
        folder=s.folder,
        text=_text(s, mark, modern=True),
        old_text=_text(s, mark, modern=False),
        files=s.secrets,
        mark=mark,
        ports=(s.port, s.tls_port) if s.pair else (s.port,),
        any_name=not s.names,
        beside=(s.self_signed.path.rpartition("/")[2],) if s.self_signed else (),
    )


def maintenance(settings: Mapping[str, Any], state: str, text: str) -> dict[str, Any]:
    """What the verb tells a host: the page as HTML, empty to take it away, and where nginx can be asked."""
    s = settings.get("nginx")
    if state not in ("on", "off"):
        raise DeclarationError(f"maintenance can be on or off, not {state!r}", hint="invoke maintenance on --host HOST")
    if not s or not s.used:
        hint = "set app_proxy: nginx and deploy; to stop the app instead, see docs/operations.md"
        raise DeclarationError(f"no nginx stands before {settings['app'].name} to show a page", hint=hint)
    page = template("nginx/maintenance.html.j2", text=text or s.maintenance_text).text()
    return {"page": page if state == "on" else "", "port": s.port}


def _text(s: Settings, mark: str, *, modern: bool) -> Content:
    # The pair by itself: what a template depends on is known by its words, and a renewed file has the old name.
    return template("nginx/site.conf.j2", s=s, pair=s.pair, mark=mark, modern=modern)


def _network(text: str) -> bool:
    try:
        return bool(ipaddress.ip_network(text))
    except ValueError:
        return False
