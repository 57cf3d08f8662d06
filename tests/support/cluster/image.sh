#!/bin/sh
# image.sh: what a node needs beyond a host: Docker, etcd, and images that come from no registry.
set -eu
apt-get -qq update
DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install \
    conntrack curl docker.io etcd-server iptables openssl socat >/dev/null
systemctl disable --quiet --now etcd 2>/dev/null || true

# Some machines forbid a container to lower its processes' score for the kernel's killer, which kubelets ask for.
cat >/usr/local/sbin/runc-unscored <<'EOF'
#!/usr/bin/python3
import json, os, sys
if "--bundle" in sys.argv:
    path = sys.argv[sys.argv.index("--bundle") + 1] + "/config.json"
    config = json.load(open(path))
    config.get("process", {}).pop("oomScoreAdj", None)
    json.dump(config, open(path, "w"))
os.execv("/usr/sbin/runc", ["runc", *sys.argv[1:]])
EOF
chmod 0755 /usr/local/sbin/runc-unscored
cat >/etc/docker/daemon.json <<'EOF'
{"default-runtime": "unscored", "runtimes": {"unscored": {"path": "/usr/local/sbin/runc-unscored"}}}
EOF
systemctl restart docker

# The node's own files, without its engine, are the base of all images.
tar -C / --one-file-system --exclude=./var/lib/docker --exclude=./var/lib/containerd --exclude=./var/cache \
    --exclude='./usr/bin/docker*' --exclude='./usr/bin/containerd*' --exclude='./usr/sbin/docker*' \
    --exclude=./usr/bin/etcd --exclude=./usr/sbin/runc --exclude=./usr/bin/ctr --exclude=./var/lib/apt \
    --create . | docker import --change 'CMD ["sleep", "infinity"]' - carboy/pause:1 >/dev/null
