#!/bin/sh
# early.sh ROOT: adds Python to what is there before the host's own packages come, and keeps all of it as a slim base
# for the images of hosts that reach no registry.
set -eu
root=$1
if [ -n "${MMDEBSTRAP_APT_CONFIG:-}" ]; then
    APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get --yes install -oDPkg::Chroot-Directory="$root" python3 libstdc++6 ca-certificates
fi
mkdir -p "$root/usr/share/carboy"
tar --create --one-file-system --numeric-owner -C "$root" \
    --exclude=./proc/* --exclude=./sys/* --exclude=./dev/* --exclude=./tmp/* --exclude=./var/cache/* \
    --exclude=./var/lib/apt/lists/* --exclude=./var/log/* --exclude=./usr/share/carboy . |
    zstd --quiet -1 -o "$root/usr/share/carboy/python-base.tar.zst"
