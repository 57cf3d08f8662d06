#!/bin/sh
# Turns a minimal Debian into a host as a provider hands it over; runs inside the image, as root, without a network.
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

# Behind a private CA both installers must read the system's store, which is the machine's own when it has one.
mkdir -p /etc/uv
printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' >/etc/pip.conf
echo 'system-certs = true' >/etc/uv/uv.toml

echo 'LANG=C.UTF-8' >/etc/default/locale
: >/etc/machine-id
rm -f /var/lib/dbus/machine-id
if [ -e /bin/systemctl ]; then
    # Units for hardware that a container does not have would leave every boot "degraded".
    systemctl mask systemd-modules-load.service getty.target console-getty.service
    # It would take away the binary formats of the machine, whose kernel the host shares.
    systemctl mask systemd-binfmt.service
fi
# What a variant has beside.
more=$(dirname "$0")/more.sh
if [ -e "$more" ]; then . "$more"; fi
