#!/bin/sh
# node.sh ADDRESS PORT: make of this container a whole cluster of one node, with the programs in /opt/kubernetes, and
# print the kubeconfig for whoever reaches its API server at that address. For tests alone: it lets everybody in.
set -eu
address=$1 port=$2
data=/var/lib/cluster bin=/opt/kubernetes
ip=$(hostname -I | cut -d' ' -f1)
token=carboy-test
mkdir -p "$data"
cd "$data"

unit() {
    name=$1
    shift
    systemd-run --quiet --unit="cluster-$name" --property=Restart=always --property=RestartSec=1 "$@"
}

reached_at() { # SERVER
    printf '%s\n' 'apiVersion: v1' 'kind: Config' \
        "clusters: [{name: carboy, cluster: {server: 'https://$1', insecure-skip-tls-verify: true}}]" \
        "users: [{name: carboy, user: {token: $token}}]" \
        'contexts: [{name: carboy, context: {cluster: carboy, user: carboy}}]' \
        'current-context: carboy'
}

ready() { curl -sk -H "Authorization: Bearer $token" "https://127.0.0.1:6443/readyz" 2>/dev/null | grep -qx ok; }

# Kubelets mount volumes for others to see.
mount --make-rshared /
echo "$token,carboy,1,system:masters" >tokens.csv
openssl genrsa -out accounts.key 2048 2>/dev/null
reached_at "$ip:6443" >kubeconfig

unit etcd etcd --data-dir "$data/etcd" --unsafe-no-fsync \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379
unit kube-apiserver "$bin/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 --secure-port=6443 \
    --cert-dir="$data/certificates" --advertise-address="$ip" --service-cluster-ip-range=10.96.0.0/16 \
    --service-account-key-file="$data/accounts.key" --service-account-signing-key-file="$data/accounts.key" \
    --service-account-issuer=https://kubernetes.default.svc --token-auth-file="$data/tokens.csv" \
    --authorization-mode=Node,RBAC --allow-privileged=true --kubelet-preferred-address-types=InternalIP
tries=300
until ready; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || { echo "the API server does not get ready: journalctl -u cluster-kube-apiserver" >&2; exit 1; }
    sleep 0.2
done

unit kube-controller-manager "$bin/kube-controller-manager" --kubeconfig="$data/kubeconfig" --leader-elect=false \
    --service-account-private-key-file="$data/accounts.key" --use-service-account-credentials
unit kube-scheduler "$bin/kube-scheduler" --kubeconfig="$data/kubeconfig" --leader-elect=false
# A container has no memory, disk or kernel of its own to measure and to tune: all that is left out.
unit kubelet "$bin/kubelet" --kubeconfig="$data/kubeconfig" --hostname-override=node --node-ip="$ip" \
    --container-runtime=docker --cgroup-driver=cgroupfs --pod-infra-container-image=carboy/pause:1 \
    --cgroups-per-qos=false --enforce-node-allocatable= --eviction-hard= --image-gc-high-threshold=100 \
    --cluster-dns=10.96.0.10 --fail-swap-on=false --oom-score-adj=0 --anonymous-auth=true --authorization-mode=AlwaysAllow
unit kube-proxy "$bin/kube-proxy" --kubeconfig="$data/kubeconfig" --hostname-override=node --proxy-mode=iptables \
    --cluster-cidr=172.17.0.0/16 --oom-score-adj=0 --conntrack-max-per-core=0
reached_at "$address:$port"
