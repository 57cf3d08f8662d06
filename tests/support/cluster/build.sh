#!/bin/sh
# build.sh OUT: make the server programs of Kubernetes from the source package of Debian 12, whose binary packages
# are kubectl alone. Runs as root in a Debian 12 container; takes a quarter of an hour and 8 GB in /build, once.
set -eu
out=$1 work=/build/kubernetes
programs='kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy'
version=v1.20.2

# What the source package needs beyond these (its documentation, its tests) is not built.
sed -i 's/^deb \(.*\)$/&\ndeb-src \1/' /etc/apt/sources.list 2>/dev/null || true
sed -i 's/^Types: deb$/Types: deb deb-src/' /etc/apt/sources.list.d/*.sources 2>/dev/null || true
apt-get -qq update
DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install \
    dpkg-dev golang-1.19-go gcc libc6-dev make rsync which >/dev/null

mkdir -p "$work"
cd "$work"
apt-get -qq source --download-only kubernetes
export GOPATH="$work/go" GO111MODULE=off GOPROXY=off CGO_ENABLED=0 PATH="/usr/lib/go-1.19/bin:$PATH"
tree=$GOPATH/src/k8s.io/kubernetes
mkdir -p "$tree"
tar -xf kubernetes_*.orig.tar.gz --strip-components=1 -C "$tree"
cd "$tree"
make generated_files

# Without a version the programs call themselves v0.0.0, and clients believe them.
base=k8s.io/component-base/version.gitVersion
flags="-s -w -X $base=$version -X k8s.io/kubernetes/vendor/$base=$version"
for program in $programs; do
    go build -ldflags "$flags" -o "$work/bin/" "./cmd/$program"
done
cp "$work"/bin/* "$out/"
