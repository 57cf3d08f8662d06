"""`make cluster`: have a Kubernetes cluster for tests, or with `down` have it no more."""

from __future__ import annotations

import sys

from tests.support import cluster


def main() -> None:
    """Do what is asked, and say how to go on."""
    if sys.argv[1:] == ["down"]:
        print("cluster removed" if cluster.down() else "there was no cluster")
        return
    try:
        found = cluster.up(print)
    except cluster.SandboxError as error:
        sys.exit(str(error))
    print(f"the cluster is up; to look into it: {cluster.kubectl(print)} --kubeconfig {found} get pods -A")
    print("to test: make test; to remove it: make cluster-down")


if __name__ == "__main__":
    main()
