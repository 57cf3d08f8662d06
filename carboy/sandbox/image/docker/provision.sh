#!/bin/sh
# Turns a Debian 13 with docker into a host as a provider hands it over; runs inside the image, as root, without a network.
set -eu

useradd --create-home --shell /bin/bash deploy
usermod --lock root
echo 'deploy ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/90-deploy
chmod 0440 /etc/sudoers.d/90-deploy

cat >/etc/ssh/sshd_config.d/10-host.conf <<'EOF'
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin no
PasswordAuthentication no
KbdInteractiveAuthentication no
EOF
rm -f /etc/ssh/ssh_host_*

echo 'LANG=C.UTF-8' >/etc/default/locale
: >/etc/machine-id
rm -f /var/lib/dbus/machine-id
# Units for hardware that a container does not have would leave every boot "degraded".
systemctl mask systemd-modules-load.service getty.target console-getty.service
# It would take away the binary formats of the machine, whose kernel the host shares.
systemctl mask systemd-binfmt.service
# Only the tests that want them start these.
systemctl disable nginx.service docker-registry.service
# Of the engine only what runs containers is needed here, and nobody looks into it.
rm -f /usr/bin/ctr /usr/bin/containerd-stress /usr/bin/containerd-shim /usr/bin/containerd-shim-runc-v1
