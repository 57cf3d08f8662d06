"""A deploy that has something to do: what the pods need first, the pods, and then what leads to them."""

from __future__ import annotations

from typing import Any, List

from carboy.applier.host import Host
from carboy.applier.kubernetes.app import App
from carboy.applier.kubernetes.apply import Comparison
from carboy.applier.kubernetes.lease import Lease
from carboy.applier.kubernetes.manifest import Object
from carboy.applier.kubernetes.switch import Switch
from carboy.applier.planned import agree
from carboy.applier.resource import Failure
from carboy.applier.session import detach

# What changes nothing for the pods that serve; all else waits until the new ones do.
FIRST = ("ServiceAccount", "ConfigMap")


def deploy(host: Host, compared: Comparison, images: List[Any]) -> None:
    """Bring the app to its manifests, alone if need be; `images` are those that the controller builds and pushes."""
    lease = Lease(compared.app)
    lease.take(host.args["wait"])
    try:
        with lease.kept():
            # Read anew: what was under way a moment ago may have been just this.
            compared = Comparison(compared.app, compared.manifests)
            agree(compared.drifts.items(), host.args.get("plan"))
            compared.app.refuse_others(compared.live, compared.objects)
            if compared.release not in compared.live.templates:
                _have_pushed(host, images)
        detach(host)
        with lease.kept():
            _converge(compared, lease)
    finally:
        lease.free()


def _have_pushed(host: Host, images: List[Any]) -> None:
    """Have the images where the nodes pull them from; to build and push one may take minutes."""
    for image in images:
        host.say("the controller pushes %s" % image.reference)
        host.fetch([{"pushed": image.order["image"]}])


def _converge(compared: Comparison, lease: Lease) -> None:
    app, changed = compared.app, set(compared.drifts)
    first = [item for item in compared.objects if item["kind"] in FIRST]
    later = [item for item in compared.objects if item["kind"] not in (*FIRST, "Deployment")]
    app.kubectl.apply(*first)
    if "deployment %s" % app.name in changed:
        Switch(app, compared.live, lease).run("deploy", compared.deployment)
    lease.check()
    app.kubectl.apply(*later)
    after = Comparison(app, compared.manifests)
    _remove(app, after.leftovers)
    left = {title: drift for title, drift in after.drifts.items() if "exists" not in drift}
    if left:
        raise Failure("still not right after the deploy: %s" % left, hint="does something else manage it?")
    compared.tell(changed, diff=compared.app.kubectl.host.args["diff"])


def _remove(app: App, leftovers: List[Object]) -> None:
    for item in leftovers:
        app.kubectl.run("delete", item["kind"].lower(), item["metadata"]["name"], "--ignore-not-found")
