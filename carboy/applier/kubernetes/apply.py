"""The verbs `plan` and `deploy` on Kubernetes: compare what is declared with the cluster, and bring it there."""

from __future__ import annotations

import hashlib
import os
from typing import Any, Dict, List

from carboy.applier import code
from carboy.applier.apply import decode
from carboy.applier.host import Host
from carboy.applier.kubernetes.app import App, Live, pods_drift
from carboy.applier.kubernetes.kubectl import Kubectl, Undeclared
from carboy.applier.kubernetes.manifest import RELEASE, Manifest, Object
from carboy.applier.resource import Drift
from carboy.applier.session import Arguments, session


def main(args: Arguments) -> None:
    """Entry point of the payload."""
    session(args, apply, root=state())


def apply(host: Host, args: Arguments) -> None:
    """Bring the app to its manifests, or with `check` only say what would change."""
    refuse_receipt(args)
    resources = [decode(resource) for _, resource in args["catalog"]]
    images = [each for each in resources if not isinstance(each, Manifest)]
    compared = Comparison(app_of(host), [each for each in resources if isinstance(each, Manifest)])
    if args["check"] or not compared.drifts:
        compared.tell(changed=set(compared.drifts), diff=args["diff"])
        return
    code.load(host)
    # Here, because it has only just arrived.
    from carboy.applier.kubernetes.deploy import deploy

    deploy(host, compared, images)


def refuse_receipt(args: Arguments) -> None:
    """Raise `Undeclared` for a receipt: this machine need not be where the app's clients are."""
    if args.get("receipt"):
        raise Undeclared("no receipt can be had of a cluster", hint="put it under load from where its clients are")


def app_of(host: Host) -> App:
    """The app that the controller means."""
    place = host.args["cluster"]
    kubectl = Kubectl(host, place["context"], place["namespace"], place["kubeconfig"])
    return App(kubectl, place["name"], place["deadline"], place["start_timeout"])


def state() -> str:
    """Where runs leave their files: at home, because nothing here wants root."""
    base = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return base + "/carboy"


class Comparison:
    """What is declared beside what there is; read once, and anew when it is made anew."""

    def __init__(self, app: App, manifests: List[Manifest]) -> None:
        self.app, self.manifests = app, manifests
        self.live: Live = app.read()
        self.objects = app.wanted(manifests, self.live)
        self.diffs: Dict[str, str] = app.kubectl.differences(*self.objects)
        self.leftovers = self.live.leftovers(manifests)
        self.drifts = {title: drift for title, drift in self._drifts() if drift}

    @property
    def deployment(self) -> Object:
        """The Deployment as it should be."""
        return next(item for item in self.objects if item["kind"] == "Deployment")

    @property
    def release(self) -> str:
        """The release that should serve."""
        return str(self.deployment["metadata"]["labels"][RELEASE])

    def tell(self, changed: "set[str]", diff: bool = False) -> None:
        """One event for each object, and for each that should not be there any more."""
        titles = {each.title(): "%s.%s" % (each.kind, each.name) for each in self.manifests}
        for title in dict.fromkeys([*titles, *self.drifts, *sorted(changed)]):
            told: Dict[str, Any] = {"drift": self.drifts.get(title)}
            told["diff"] = self.diffs.get(titles.get(title, "")) if diff else ""
            status = "changed" if title in changed else "ok"
            more = {name: value for name, value in told.items() if value}
            self.app.kubectl.host.stream.emit("resource", role="kubernetes", resource=title, status=status, **more)

    def _drifts(self) -> "List[tuple[str, Drift]]":
        found = [(each.title(), self._drift(each)) for each in self.manifests]
        # A ConfigMap loses its last release when the cluster sees fit: to sweep it is no change that anybody asked for.
        others = [item for item in self.leftovers if item["kind"] != "ConfigMap"]
        return found + [(_title(item), {"exists": ("yes", "no")}) for item in others]

    def _drift(self, manifest: Manifest) -> Drift:
        name = "%s.%s" % (manifest.kind, manifest.name)
        # With a mark of how, so that a saved plan sees that something else differs by now.
        mark = hashlib.sha256(self.diffs.get(name, "").encode()).hexdigest()[:8]
        there = "differs (%s)" % mark if self.live.find(name) else None
        drift: Drift = {"content": (there, "as declared")} if name in self.diffs else {}
        return {**drift, **pods_drift(self.live, self.release)} if manifest.kind == "Deployment" else drift


def _title(item: Object) -> str:
    return "%s %s" % (item["kind"].lower(), item["metadata"]["name"])
