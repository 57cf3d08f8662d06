#!/bin/sh
# carboy-entry PUBLIC_KEY own|shared: PID 1 of a container host until it hands over to systemd.
set -eu
public_key=$1 cgroup=$2

# On cgroup v1 podman lays the machine's name=systemd hierarchy over the one of this cgroup namespace. Left there, the
# units of all hosts would share cgroups, and stopping one on this host could kill its namesake on another.
if [ "$cgroup" = own ] && [ -d /sys/fs/cgroup/systemd ]; then
    umount -R /sys/fs/cgroup/systemd 2>/dev/null || true
    mountpoint -q /sys/fs/cgroup/systemd ||
        mount -t cgroup -o none,name=systemd,nosuid,nodev,noexec cgroup /sys/fs/cgroup/systemd
fi

# The image holds no host key: two hosts with the same one could not be told apart.
[ -e /etc/ssh/ssh_host_ed25519_key ] || ssh-keygen -q -t ed25519 -N '' -C '' -f /etc/ssh/ssh_host_ed25519_key

if [ ! -e /home/deploy/.ssh/authorized_keys ]; then
    install -d -o deploy -g deploy -m 0700 /home/deploy/.ssh
    printf '%s\n' "$public_key" | install -o deploy -g deploy -m 0600 /dev/stdin /home/deploy/.ssh/authorized_keys
fi
# As on a real machine: systemd hands units their credentials by a mount, which must reach from one namespace to another.
mount --make-rshared / 2>/dev/null || true
exec /sbin/init
