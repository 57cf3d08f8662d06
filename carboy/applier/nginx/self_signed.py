"""A certificate that the host makes for itself, for sandboxes: no client trusts it, and none has to be bought."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

from carboy.applier.host import Host
from carboy.applier.resource import Drift, Properties, Resource

RENEW_SECONDS = str(30 * 86400)


@dataclass(frozen=True)
class SelfSigned(Resource):
    """Certificate and key in one file of root's alone, so that they are never of two pairs."""

    path: str
    names: Tuple[str, ...]

    def title(self) -> str:
        """The name people read."""
        return "self-signed certificate %s" % self.names[0]

    def current(self, host: Host) -> Properties:
        """Whether there is one that stays valid for a month, and whether nginx was told so."""
        path = host.at(self.path)
        if not path.is_file():
            return {}
        done = host.call("openssl", "x509", "-noout", "-checkend", RENEW_SECONDS, "-in", str(path))
        closed = path.stat().st_mode & 0o7777 == 0o600
        return {"valid": not done.returncode, "closed": closed, "told": not host.at(self.path + ".new").exists()}

    def desired(self, host: Host) -> Properties:
        """Valid, root's alone, and in use."""
        return {"valid": True, "closed": True, "told": True}

    def repair(self, host: Host, drift: Drift) -> None:
        """Make a key and a certificate, put both in place at once, and have nginx read them."""
        from carboy.applier.nginx.openssl import make, tell

        if "valid" in drift:
            make(host, self)
        host.at(self.path).chmod(0o600)
        tell(host, self)
