# What a docker host has beside: read by provision.sh.
# Only the tests that want them start these.
systemctl disable nginx.service docker-registry.service
# Of the engine only what runs containers is needed here, and nobody looks into it.
rm -f /usr/bin/ctr /usr/bin/containerd-stress /usr/bin/containerd-shim /usr/bin/containerd-shim-runc-v1
