#!/bin/sh
# carboy-entry PUBLIC_KEY: PID 1 of a host without systemd until it hands over; cron and sshd are all that it starts.
set -eu
public_key=$1

# The image holds no host key: two hosts with the same one could not be told apart.
[ -e /etc/ssh/ssh_host_ed25519_key ] || ssh-keygen -q -t ed25519 -N '' -C '' -f /etc/ssh/ssh_host_ed25519_key

if [ ! -e /home/deploy/.ssh/authorized_keys ]; then
    install -d -o deploy -g deploy -m 0700 /home/deploy/.ssh
    printf '%s\n' "$public_key" | install -o deploy -g deploy -m 0600 /dev/stdin /home/deploy/.ssh/authorized_keys
fi
mkdir -p /run/sshd
cron
exec tini -- /usr/sbin/sshd -D -e
