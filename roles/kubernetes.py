"""Kubernetes runs the app: every object it consists of there, as one set of manifests that kubectl applies."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any, Literal

import yaml

from carboy.applier.kubernetes.manifest import CONFIG, MANAGED, RELEASE, Manifest
from carboy.applier.resource import Resource
from carboy.catalog import digest
from carboy.environment import refusal
from carboy.errors import DeclarationError
from carboy.inventory import Host
from carboy.inventory.sealed import Hidden, Sealed, Text
from carboy.settings import Duration, Size
from carboy.template import template
from roles.app import DOMAIN
from roles.app import Settings as App
from roles.image import Settings as Image
from roles.image import image
from roles.ingress import Settings as Ingress
from roles.release import Settings as Release
from roles.server import Settings as Server

LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
IMAGE = r"[a-z0-9][\w./:-]*(@sha256:[0-9a-f]{64})?"
SECRET = rf"{DOMAIN}/[\w.-]+"
# What a finished image already holds.
PACKED = {
    "app": ("source", "ref", "include", "exclude", "requirements", "requires", "python"),
    "image": ("base", "build", "registry"),
}
# Longer than the server's own grace, as under systemd.
PATIENCE = 10
REFUSES = {
    "development": "Flask's own server serves one developer, and pods serve the public: leave it out here",
    "proxy": "the Ingress is the proxy here: set app_domain and ingress_class_name",
    "secrets_file": "the cluster keeps secrets: name them in kubernetes_secrets",
    "secrets": "the cluster keeps secrets: name them in kubernetes_secrets",
    "packages_from": "an image has its packages from the controller: leave it at wheelhouse",
    "tasks_max": "only the kubelet can limit processes (its podPidsLimit): leave it out here",
    "open_files": "the node's container engine sets this limit for all: leave it out here",
}
"""What of the app's settings Kubernetes cannot do, and what to do instead."""


@dataclass(frozen=True)
class Settings:
    """`kubernetes_*`: which cluster, which image, how many pods, and who may reach them."""

    app: App
    server: Server
    release: Release
    ingress: Ingress
    built: Image
    context: str
    namespace: str
    image: str = ""
    kubeconfig: str = ""
    pull_secret: str = ""
    pull_policy: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"
    pull_timeout: Duration = Duration(300)
    replicas: int = 2
    autoscale_max: int | None = None
    autoscale_cpu: int = 70
    disruptions: int | None = 1
    cpu_request: float = 0.1
    memory_request: Size = Size(128 << 20)
    tmp_size: Size = Size(64 << 20)
    drain: Duration = Duration(5)
    secrets: dict[str, str] = field(default_factory=dict)
    service_type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    service_port: int = 80
    allow_from: tuple[str, ...] = ()
    allow_to: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The app's name as Kubernetes takes names."""
        return self.app.name.replace("_", "-")

    @property
    def port(self) -> int:
        """The port that the app listens on in its pod."""
        return self.built.port

    @property
    def config(self) -> dict[str, Text]:
        """The app's environment, apart from secrets: the server's logs go to stdout, and it listens to all."""
        own = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "CARBOY_BIND": f"0.0.0.0:{self.port}"}
        return {**self.app.environment, **self.server.chosen.candidate, **own}

    @property
    def mounted(self) -> dict[str, str]:
        """The secrets that are files of the pods."""
        return self.secrets if self.app.secrets_as == "files" else {}

    @property
    def config_name(self) -> str:
        """The name of the ConfigMap, which says what is in it."""
        return f"{self.name}-{CONFIG}-{digest(self.config)[:8]}"

    @property
    def requests(self) -> dict[str, str]:
        """What a pod is sure to get."""
        return {"cpu": cores(self.cpu_request), "memory": str(int(self.memory_request))}

    @property
    def limits(self) -> dict[str, str]:
        """What a pod may use at most."""
        memory = {"memory": str(int(self.app.memory_max))} if self.app.memory_max else {}
        return {**memory, **({"cpu": cores(self.app.cpus)} if self.app.cpus else {})}

    @property
    def watch(self) -> int:
        """Seconds that a pod must be ready for before the next old one goes."""
        return math.ceil(self.release.watch)

    @property
    def start_timeout(self) -> int:
        """Seconds that a start may take; the startup probe asks once in each."""
        return math.ceil(self.app.start_timeout)

    @property
    def deadline(self) -> int:
        """Seconds without any progress after which a rollout has failed: to pull, to start, to prove itself."""
        return math.ceil(self.pull_timeout) + self.start_timeout + self.watch

    @property
    def drain_seconds(self) -> int:
        """Seconds that a pod goes on serving after it was told to end."""
        return math.ceil(self.drain)

    @property
    def grace(self) -> int:
        """Seconds until a pod is killed: it drains, then its server has its own grace."""
        return self.drain_seconds + math.ceil(self.app.stop_timeout) + PATIENCE

    @property
    def arguments(self) -> dict[str, Any]:
        """What every verb is told on the machine that has kubectl."""
        place = {"context": self.context, "namespace": self.namespace, "kubeconfig": self.kubeconfig}
        times = {"deadline": self.deadline, "start_timeout": self.start_timeout}
        return {"cluster": {**place, "name": self.name, **times, "reversible": self.release.reversible}}

    def validate(self) -> Iterator[tuple[str, ...]]:
        """What the types cannot say."""
        yield from _names(self)
        yield from _numbers(self)
        yield from _networks(self)
        yield from _secrets(self)


def resources(host: Host, s: Settings) -> Iterator[Resource]:
    """Declare the image, unless one is named, and every object of the app in its namespace."""
    _refuse_hooks(host, s.release)
    built = None if s.image else image(host, s.built)
    if built:
        yield built
    for content in manifests(s, built.reference if built else s.image):
        yield Manifest(content["kind"], content["metadata"]["name"], json.dumps(content, sort_keys=True))


def _refuse_hooks(host: Host, release: Release) -> None:
    """Commands around the cutover want a place to run in, which a cluster has only in Jobs of one's own."""
    for name in ("before_cutover", "after_cutover"):
        if getattr(release, name):
            what = f"release_{name} is not for app_runtime kubernetes: there is no host to run it on"
            hint = "make a Job of it, and run that before the deploy; then remove the setting"
            raise DeclarationError(what, where=host.where(f"release_{name}"), hint=hint)


def manifests(s: Settings, reference: str) -> list[dict[str, Any]]:
    """All objects, in the order in which they are applied; what the public sees comes after the pods."""
    kinds = ["service-account", "config-map", "deployment", "service", "network-policy"]
    kinds += ["disruption-budget"] if s.disruptions is not None else []
    kinds += ["autoscaler"] if s.autoscale_max else []
    kinds += ["ingress"] if s.app.domain else []
    return [_manifest(s, kind, reference) for kind in kinds]


def cores(number: float) -> str:
    """A number of cores as Kubernetes writes it."""
    return f"{math.ceil(number * 1000)}m"


def _manifest(s: Settings, kind: str, reference: str) -> dict[str, Any]:
    text = template(f"kubernetes/{kind}.yaml.j2", s=s, image=reference).text()
    content: dict[str, Any] = yaml.safe_load(text)
    content["metadata"] |= {"namespace": s.namespace, "labels": {"app.kubernetes.io/name": s.name, **MANAGED}}
    if kind == "deployment":
        # Two declarations with the same pods are the same release, whatever else differs.
        pods = content["spec"]["template"]
        release = digest(pods)[:8]
        content["metadata"]["labels"][RELEASE] = release
        pods["metadata"]["labels"][RELEASE] = release
    return content


def _names(s: Settings) -> Iterator[tuple[str, ...]]:
    if not re.fullmatch(LABEL, s.name):
        yield "namespace", f"app_name {s.app.name!r} gives no name for Kubernetes: {s.name!r}", "end it with a letter"
    if not re.fullmatch(LABEL, s.namespace):
        yield "namespace", f"{s.namespace!r} is no name of a namespace", "small letters, digits and -, 63 at most"
    if not s.context.strip():
        yield "context", "it is empty", "see: kubectl config get-contexts"
    if not s.image and not s.built.registry:
        yield "image", "neither it nor image_registry is set", "nodes pull images: name one, or where it is kept"
    told = ", ".join(_ignored(s)) if s.image else ""
    if told:
        yield (
            "image",
            f"what a finished image holds was decided when it was built: {told} would be ignored",
            "drop these, or the image",
        )
    if not re.fullmatch(f"({IMAGE})?", s.image):
        yield "image", f"{s.image!r} is no reference of an image", "write it like registry.example.com/shop:1.4"
    if s.pull_secret and not re.fullmatch(DOMAIN, s.pull_secret):
        yield "pull_secret", f"{s.pull_secret!r} is no name of a Secret"
    if s.app.listen.startswith("/"):
        yield "service_port", f"app_listen {s.app.listen} is a unix socket, which ends at the pod", "name a port there"


def _ignored(s: Settings) -> Iterator[str]:
    """The settings that say how an image is built, where they are set."""
    for settings, role in ((s.app, "app"), (s.built, "image")):
        for name in PACKED[role]:
            if getattr(settings, name) != getattr(type(settings), name):
                yield f"{role}_{name}"


def _numbers(s: Settings) -> Iterator[tuple[str, ...]]:
    if s.replicas < 1:
        yield "replicas", f"{s.replicas} must be at least 1"
    if s.autoscale_max is not None and s.autoscale_max < s.replicas:
        yield "autoscale_max", f"{s.autoscale_max} is less than kubernetes_replicas, which is {s.replicas}"
    if not 1 <= s.autoscale_cpu <= 1000:
        yield "autoscale_cpu", f"{s.autoscale_cpu} is no percentage of what a pod asks for"
    if s.disruptions is not None and s.disruptions < 1:
        yield "disruptions", f"{s.disruptions} would let no node be drained", "1 or more, or null for no budget"
    if not 1 <= s.service_port <= 65535:
        yield "service_port", f"{s.service_port} is no port"
    if s.app.memory_max and s.memory_request > s.app.memory_max:
        yield "memory_request", "it is more than app_memory_max", "no node could ever give that: make it smaller"
    if not 0.001 <= s.cpu_request <= (s.app.cpus or 1024):
        yield "cpu_request", f"{s.cpu_request:g} is not from 0.001 to {s.app.cpus or 1024:g} cores (app_cpus)"


def _networks(s: Settings) -> Iterator[tuple[str, ...]]:
    for name in s.allow_from:
        if not re.fullmatch(LABEL, name):
            yield "allow_from", f"{name!r} is no name of a namespace"
    for network in s.allow_to:
        try:
            ip_network(network)
        except ValueError as problem:
            yield "allow_to", str(problem), "write it like 10.0.0.0/8"


def _secrets(s: Settings) -> Iterator[tuple[str, ...]]:
    for name, value in s.app.environment.items():
        if isinstance(value, (Hidden, Sealed)):
            what = f"app_environment.{name} is encrypted, and would stand in a ConfigMap, which is no place for secrets"
            yield "secrets", what, "make a Secret of it, and name that here"
    for name, reference in s.secrets.items():
        problem, hint = refusal(name)
        if problem:
            yield "secrets", problem, hint
        if name in s.config:
            yield "secrets", f"{name} is in app_environment too", "take it out of one of them"
        if s.app.secrets_as == "files" and f"{name}_FILE" in {*s.config, *s.secrets}:
            yield "secrets", f"{name}_FILE says where {name} is, and cannot be a variable of its own", "take it out"
        if not re.fullmatch(SECRET, reference):
            yield "secrets", f"{name}: {reference!r} names no key of a Secret", "write it like SECRET/KEY"
