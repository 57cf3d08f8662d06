"""The manifests: valid under strict schemas, hardened, free of what is deprecated, and right about the app."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from carboy import source
from carboy.applier.kubernetes.manifest import Manifest
from carboy.catalog import Content
from carboy.declaration import Declaration, declare
from carboy.errors import DeclarationError
from carboy.inventory import Host
from carboy.template import template
from roles import kubernetes

VERSIONS = ("1.37", "1.36", "1.35")
LEAST = {
    "app_wsgi": "app.wsgi:app",
    "app_name": "hello",
    "app_runtime": "kubernetes",
    "kubernetes_context": "prod",
    "kubernetes_namespace": "web",
    "kubernetes_image": "registry.example.com/hello:1.4",
}
MOST = {
    **LEAST,
    "app_environment": {"GREETING": "hi: #1 'quoted' \"twice\" {x}\n"},
    "app_memory_max": "256M",
    "app_cpus": 0.5,
    "app_domain": "hello.example.com",
    "app_health": "/he%20alth?a=b&c='d'",
    "ingress_class_name": "nginx",
    "ingress_tls_secret": "hello-tls",
    "ingress_rate_limit": 20,
    "ingress_snippets": True,
    "ingress_annotations": {"example.com/note": "yes"},
    "kubernetes_allow_from": ["ingress-nginx"],
    "kubernetes_allow_to": ["10.0.0.0/8"],
    "kubernetes_autoscale_max": 6,
    "kubernetes_pull_secret": "registry",
    "kubernetes_secrets": {"TOKEN": "hello-secrets/token"},
    "kubernetes_service_type": "LoadBalancer",
}


def declared(**variables: Any) -> Declaration:
    """What these variables declare, with the fewest that are needed."""
    return declare(Host("prod", {**LEAST, **variables}, {}))


def manifests(**variables: Any) -> dict[str, dict[str, Any]]:
    """The manifests by kind."""
    entries = declared(**variables).catalog.entries
    return {each.kind: each.content for _, each in entries if isinstance(each, Manifest)}


def container(**variables: Any) -> dict[str, Any]:
    """The app's container."""
    found: dict[str, Any] = manifests(**variables)["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    return found


def walk(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key of a manifest with its value, at any depth."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key, item
            yield from walk(item)
    for item in value if isinstance(value, list) else ():
        yield from walk(item)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("variables", [LEAST, MOST], ids=["least", "most"])
def test_schemas(version: str, variables: dict[str, Any]) -> None:
    """Every manifest is valid under the strict schemas of the newest Kubernetes and the two versions before."""
    for content in manifests(**variables).values():
        with warnings.catch_warnings():
            # A removed apiVersion is no error to this tool, only something to warn of.
            warnings.simplefilter("error")
            kubernetes_validate.validate(content, version, strict=True)


def test_schemas_can_fail() -> None:
    """A misspelt key, and an apiVersion that is gone, are errors there."""
    deployment = manifests()["Deployment"]
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**deployment, "sepc": {}}, VERSIONS[0], strict=True)
    with pytest.raises((kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError)):
        kubernetes_validate.validate({**deployment, "apiVersion": "extensions/v1beta1"}, VERSIONS[0], strict=True)


def test_newest_versions() -> None:
    """The versions here are the newest that there are schemas for."""
    newest = kubernetes_validate.latest_version()
    assert newest.startswith(VERSIONS[0]), f"there are schemas for {newest}: test with these"


def test_ports() -> None:
    """Every port that is named somewhere is one that the container has or the Service offers."""
    found = manifests(**MOST)
    ports = {port["name"] for port in container(**MOST)["ports"]}
    assert {port["targetPort"] for port in found["Service"]["spec"]["ports"]} <= ports
    assert {value["port"] for key, value in walk(found["Deployment"]) if key == "httpGet"} <= ports
    assert {port["port"] for rule in found["NetworkPolicy"]["spec"]["ingress"] for port in rule["ports"]} <= ports
    offered = {port["name"] for port in found["Service"]["spec"]["ports"]}
    assert {value["port"]["name"] for key, value in walk(found["Ingress"]) if key == "service"} <= offered


def test_nothing_deprecated() -> None:
    """The Ingress names its class as a field, not as the annotation that was before."""
    ingress = manifests(**MOST)["Ingress"]
    assert ingress["spec"]["ingressClassName"] == "nginx"
    assert "kubernetes.io/ingress.class" not in ingress["metadata"]["annotations"]


def test_selectors() -> None:
    """Whatever selects pods selects those of the Deployment."""
    found = manifests(**MOST)
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"].items()
    selectors = [value for item in found.values() for key, value in walk(item) if key == "matchLabels"]
    own = [each for each in selectors if "kubernetes.io/metadata.name" not in each]
    assert len(own) >= 5 and all(each.items() <= labels for each in [*own, found["Service"]["spec"]["selector"]])


def test_hardened() -> None:
    """The pod has no rights that it does not need."""
    pod = manifests()["Deployment"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["volumes"][0]["emptyDir"]["medium"] == "Memory"
    assert [each["automountServiceAccountToken"] for each in (pod, manifests()["ServiceAccount"])] == [False, False]


def test_rolling() -> None:
    """Old pods go only when new ones are ready; each drains first, and is killed only after its server's grace."""
    spec = manifests(app_stop_timeout="40s", kubernetes_drain="7s", release_watch="4s", release_keep=3)["Deployment"][
        "spec"
    ]
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert (spec["minReadySeconds"], spec["revisionHistoryLimit"]) == (4, 3)
    pod = spec["template"]["spec"]
    assert pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", "7"]
    assert pod["terminationGracePeriodSeconds"] == 7 + 40 + 10


def test_app() -> None:
    """What the app's specification says is what the manifests say."""
    found = container(**MOST)
    assert found["startupProbe"]["httpGet"]["path"] == MOST["app_health"]
    assert found["resources"]["limits"] == {"memory": str(256 << 20), "cpu": "500m"}
    assert manifests(**MOST)["ConfigMap"]["data"]["GREETING"] == MOST["app_environment"]["GREETING"]
    assert container(app_start_timeout="45s")["startupProbe"]["failureThreshold"] == 45
    listening = manifests(app_listen="127.0.0.1:9000")
    assert listening["ConfigMap"]["data"]["CARBOY_BIND"] == "0.0.0.0:9000"
    assert container(app_listen="127.0.0.1:9000")["ports"][0]["containerPort"] == 9000


def test_secrets_by_reference() -> None:
    """A secret is named, and its value is nowhere."""
    [token] = [each for each in container(**MOST)["env"] if each["name"] == "TOKEN"]
    assert token["valueFrom"] == {"secretKeyRef": {"name": "hello-secrets", "key": "token"}}


def test_release() -> None:
    """What pods run is the release: another environment is another one, another number of pods is not."""
    plain, same = manifests()["Deployment"], manifests(kubernetes_replicas=5, kubernetes_service_port=8080)
    other = manifests(app_environment={"GREETING": "hi"})
    release = plain["metadata"]["labels"]["carboy/release"]
    assert plain["spec"]["template"]["metadata"]["labels"]["carboy/release"] == release
    assert same["Deployment"]["metadata"]["labels"]["carboy/release"] == release
    assert other["Deployment"]["metadata"]["labels"]["carboy/release"] != release
    assert other["ConfigMap"]["metadata"]["name"] != manifests()["ConfigMap"]["metadata"]["name"]


def test_nothing_of_this_process_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """What manifests are made from is the same in each run, so that those of the last one are found again."""
    given: list[str] = []

    def recorded(name: str, **variables: Any) -> Content:
        given.append(repr(variables))
        return template(name, **variables)

    monkeypatch.setattr(kubernetes, "template", recorded)
    assert manifests(**MOST) and len(given) == 8
    assert not [text for text in given if " at 0x" in text]


def test_image_of_the_app(tmp_path: Path) -> None:
    """Without an image of its own, the image is the app's, by a tag that says what is in it."""
    (tmp_path / "requirements.txt").write_text("flask==3.1.3\n")
    given = {"kubernetes_image": "", "app_source": str(tmp_path), "image_build": "controller"}
    given["image_registry"] = "registry.example.com/team"
    before = container(**given)["image"]
    (tmp_path / "app.py").write_text("app = None\n")
    source.forget()
    assert before.startswith("registry.example.com/team/hello:") and container(**given)["image"] != before


def test_ingress() -> None:
    """What is declared of the way in is said in the words of the named controller, or not at all."""
    told = manifests(**MOST)["Ingress"]["metadata"]["annotations"]
    prefix = "nginx.ingress.kubernetes.io/"
    assert told[prefix + "force-ssl-redirect"] == "true" and told[prefix + "limit-rps"] == "20"
    assert told[prefix + "proxy-read-timeout"] == "60" and told[prefix + "proxy-body-size"] == str(1 << 20)
    assert "gzip on;" in told[prefix + "configuration-snippet"] and "nosniff" in told[prefix + "configuration-snippet"]
    other = manifests(app_domain="a.b", ingress_class_name="x", ingress_controller="other")["Ingress"]
    assert other["metadata"]["annotations"] == {}
    assert "Ingress" not in manifests()


@pytest.mark.parametrize(
    ("variables", "what"),
    [
        ({"kubernetes_context": ""}, "kubernetes_context"),
        ({"kubernetes_namespace": "Web"}, "'Web' is no name of a namespace"),
        ({"kubernetes_image": "Registry/Hello:1"}, "is no reference of an image"),
        ({"kubernetes_image": ""}, "neither it nor image_registry is set"),
        ({"kubernetes_replicas": 0}, "0 must be at least 1"),
        ({"kubernetes_replicas": 3, "kubernetes_autoscale_max": 2}, "less than kubernetes_replicas"),
        ({"kubernetes_disruptions": 0}, "would let no node be drained"),
        ({"kubernetes_service_port": 70000}, "70000 is no port"),
        ({"kubernetes_memory_request": "1G", "app_memory_max": "256M"}, "it is more than app_memory_max"),
        ({"kubernetes_cpu_request": 2, "app_cpus": 1}, "is not from 0.001 to 1 cores"),
        ({"kubernetes_allow_to": ["10.0.0.1/8"]}, "host bits set"),
        ({"kubernetes_allow_from": ["a_b"]}, "is no name of a namespace"),
        ({"kubernetes_secrets": {"TOKEN": "hello"}}, "names no key of a Secret"),
        ({"kubernetes_secrets": {"A": "b/c"}, "app_environment": {"A": "x"}}, "is in app_environment too"),
        ({"kubernetes_service_type": "NodeProt"}, "kubernetes_service_type"),
        ({"kubernetes_replica": 3}, "kubernetes_replica is no setting"),
        ({"app_domain": "hello.example.com"}, "ingress_class_name: it is not set"),
        ({"ingress_controller": "other", "ingress_rate_limit": 5}, "known how to say that to ingress-nginx only"),
        ({"ingress_controller": "other", "ingress_rate_burst": 9}, "ingress_rate_burst: it is known how"),
        ({"ingress_controller": "other", "ingress_timeout": 90}, "ingress_timeout: it is known how"),
        ({"ingress_controller": "other", "ingress_body_size": "9M"}, "ingress_body_size: it is known how"),
        ({"ingress_controller": "other", "ingress_gzip": False}, "ingress_gzip: it is known how"),
        ({"app_requirements": "other.txt"}, "app_requirements would be ignored"),
        ({"app_python": "python3.12", "app_ref": "v1"}, "app_ref, app_python would be ignored"),
        ({"image_base": "python:3.13"}, "image_base would be ignored"),
        ({"image_build": "controller", "image_registry": "a.b/c"}, "image_build, image_registry would be ignored"),
        ({"ingress_headers": {"X-A": "b"}}, "they need ingress_snippets"),
        ({"ingress_headers": {"X-A": 'b";x'}, "ingress_snippets": True}, "nginx would not take that"),
        ({"app_listen": "/run/hello.sock"}, "is a unix socket"),
        ({"app_listen": "/run/hello.sock", "kubernetes_secrets": {"A": "b/c"}}, "is a unix socket"),
        ({"app_name": "hello_"}, "gives no name for Kubernetes"),
        ({"app_open_files": 999}, "app_open_files is not for app_runtime kubernetes"),
        ({"app_tasks_max": 99}, "app_tasks_max is not for app_runtime kubernetes"),
        ({"app_secrets_file": "secrets.yml"}, "app_secrets_file is not for app_runtime kubernetes"),
    ],
)
def test_wrong_value(variables: dict[str, Any], what: str) -> None:
    """A wrong value in the inventory is found before anything is contacted, and named with its setting."""
    with pytest.raises(DeclarationError) as caught:
        declared(**variables)
    assert what in json.dumps(str(caught.value), ensure_ascii=False).replace('\\"', '"')


@pytest.mark.parametrize("name", ["release_before_cutover", "release_after_cutover"])
def test_hooks_are_refused(name: str) -> None:
    """Commands around the cutover are refused, since nothing would run them."""
    with pytest.raises(DeclarationError) as caught:
        _ = declared(**{name: ["true"]}).catalog
    assert name in caught.value.what and "Job" in caught.value.hint
