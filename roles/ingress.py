"""The way from the public into a cluster: an Ingress, and what its controller is told in annotations."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from carboy.applier.resource import Resource
from carboy.inventory import Host
from carboy.settings import Duration, Size
from roles.app import DOMAIN
from roles.app import Settings as App

PREFIX = "nginx.ingress.kubernetes.io/"
CLASSES = "see: kubectl get ingressclass"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Strict-Transport-Security": "max-age=31536000",
}
# What is put into words for ingress-nginx alone.
TOLD = ("timeout", "body_size", "rate_limit", "rate_burst", "snippets", "gzip")
TYPES = "application/javascript application/json application/xml image/svg+xml text/css text/plain text/xml"


@dataclass(frozen=True)
class Settings:
    """`ingress_*`: who brings requests in, and under which rules; only where `app_domain` names the app."""

    app: App
    # "class" is a word of Python's own.
    class_name: str = ""
    controller: Literal["nginx", "other"] = "nginx"
    tls_secret: str = ""
    timeout: Duration = Duration(60)
    body_size: Size = Size(1 << 20)
    rate_limit: int | None = None
    rate_burst: int = 5
    snippets: bool = False
    gzip: bool = True
    headers: dict[str, str] = field(default_factory=lambda: dict(HEADERS))
    annotations: dict[str, str] = field(default_factory=dict)

    @property
    def all_annotations(self) -> dict[str, str]:
        """What the controller is told; the inventory's own words win."""
        return {**(_nginx(self) if self.controller == "nginx" else {}), **self.annotations}

    def validate(self) -> Iterator[tuple[str, ...]]:
        """What the types cannot say."""
        if self.app.runtime == "kubernetes" and self.app.domain and not self.class_name:
            yield "class_name", "it is not set, and app_domain is", CLASSES
        for name in ("class_name", "tls_secret"):
            if not re.fullmatch(f"({DOMAIN})?", getattr(self, name)):
                yield name, f"{getattr(self, name)!r} is no name in Kubernetes", CLASSES
        if self.rate_limit is not None and self.rate_limit < 1:
            yield "rate_limit", f"{self.rate_limit} lets nobody in", "1 or more a second, or null for no limit"
        if self.rate_burst < 1:
            yield "rate_burst", f"{self.rate_burst} must be at least 1"
        yield from _only_nginx(self)
        yield from _headers(self)


def resources(host: Host, s: Settings) -> Iterator[Resource]:  # noqa: ARG001 - every role has this form
    """Nothing beside the objects of the role kubernetes."""
    yield from ()


def _nginx(s: Settings) -> dict[str, str]:
    """The settings in the words of ingress-nginx."""
    secure, seconds = str(bool(s.tls_secret)).lower(), str(math.ceil(s.timeout))
    told = {
        "ssl-redirect": secure,
        "force-ssl-redirect": secure,
        "proxy-connect-timeout": "5",
        "proxy-read-timeout": seconds,
        "proxy-send-timeout": seconds,
        "proxy-body-size": str(int(s.body_size)),
        # A pod that drains takes no new connection: the next one is asked, but never twice for what may have worked.
        "proxy-next-upstream": "error timeout",
    }
    if s.rate_limit:
        told |= {"limit-rps": str(s.rate_limit), "limit-burst-multiplier": str(s.rate_burst)}
    if s.snippets:
        told["configuration-snippet"] = _snippet(s)
    return {PREFIX + name: value for name, value in told.items()}


def _snippet(s: Settings) -> str:
    """What ingress-nginx has no annotation for, in nginx's own words."""
    gzip = ["gzip on;", "gzip_proxied any;", "gzip_vary on;", f"gzip_types {TYPES};"] if s.gzip else []
    headers = [f'more_set_headers "{name}: {value}";' for name, value in sorted(s.headers.items())]
    return "\n".join([*gzip, *headers])


def _only_nginx(s: Settings) -> Iterator[tuple[str, ...]]:
    """Settings that are put into words for ingress-nginx alone must not be ignored by others."""
    if s.controller == "other":
        for name in TOLD:
            if getattr(s, name) != getattr(Settings, name):
                yield name, "it is known how to say that to ingress-nginx only", "use ingress_annotations"
    if s.headers != HEADERS and not s.snippets:
        yield "headers", "they need ingress_snippets, which only ingress-nginx has", "set ingress_snippets: true"


def _headers(s: Settings) -> Iterator[tuple[str, ...]]:
    for name, value in s.headers.items():
        if not re.fullmatch(r"[A-Za-z0-9-]+", name) or not re.fullmatch(r'[^"\\$;{}\x00-\x1f]+', value):
            yield "headers", f"{name}: nginx would not take that as a header", "no quotes, $, ; or braces"
