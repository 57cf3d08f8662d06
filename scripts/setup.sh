#!/bin/sh
# setup.sh [--hosts|--tests]: have all that `make` needs on a Debian or Ubuntu machine: .venv, with --hosts a container
# engine and the image of the sandbox too, with --tests also what only tests want. Quick when nothing is missing, and
# silent about what it need not do.
set -eu
cd "$(dirname "$0")/.."

fail() {
    echo "set-up: $*" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# Sets $python to the first Python that is new enough; a name on the PATH may be a shim that starts nothing.
find_python() {
    for python in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then return; fi
    done
    fail "Python 3.11 or newer is needed, and no python3 here is; install one (on Ubuntu 22.04: apt install python3.11)."
}

# Prints the apt packages that are missing.
missing_packages() {
    "$python" -c 'import ensurepip' 2>/dev/null ||
        "$python" -c 'import sys; print("python3.%d-venv" % sys.version_info[1])'
    { have ssh && have ssh-keygen; } || echo openssh-client
    if [ "$hosts" ]; then missing_engine; fi
    if [ "$tests" ]; then missing_for_tests; fi
}

missing_for_tests() {
    # A client of HTTP/2, and an SSH server to start with settings of all sorts.
    have curl || echo curl
    [ -x /usr/sbin/sshd ] || echo openssh-server
}

missing_engine() {
    if ! have podman && ! { have docker && docker info; } >/dev/null 2>&1; then
        echo podman
        have iptables || echo iptables
    fi
    # On cgroup v1 podman's usual runtime cannot boot systemd.
    [ -e /sys/fs/cgroup/cgroup.controllers ] || have runc || echo runc
    # A Debian machine makes the image from packages, so that no image registry is needed.
    if grep -q '^ID=debian' /etc/os-release; then
        have mmdebstrap || echo mmdebstrap
        have zstd || echo zstd
    fi
}

install_packages() {
    have apt-get || fail "$* must be installed first: there is no apt-get here to do it with."
    as_root='' recommends=--no-install-recommends
    if [ "$(id -u)" != 0 ]; then
        have sudo || fail "$* must be installed, which needs root or sudo."
        # What podman recommends is what it needs to run without root.
        as_root=sudo recommends=''
    fi
    echo "set-up: installing with apt: $*"
    # On a fresh machine somebody else often holds dpkg's lock for the first minutes.
    apt="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 -qq -y"
    # shellcheck disable=SC2086 # lists of words
    quietly "apt-get update failed" $apt update
    # shellcheck disable=SC2086
    quietly "apt-get install failed" $apt install $recommends "$@"
    # The tests start servers of their own; that one may log in to this machine was not asked for.
    case " $* " in *" openssh-server "*) $as_root systemctl disable --now ssh.service ssh.socket >/dev/null 2>&1 || true ;; esac
}

# quietly WHAT_FAILED COMMAND...: runs a command and shows the end of its output only if it fails.
quietly() {
    failure=$1 log=$(mktemp)
    shift
    "$@" >"$log" 2>&1 </dev/null || {
        tail -n 5 "$log" >&2
        rm -f "$log"
        fail "$failure, for the reason above."
    }
    rm -f "$log"
}

make_venv() {
    stamp=.venv/.set-up-$(cat pyproject.toml constraints.txt scripts/invoke.py | cksum | cut -d' ' -f1)
    if [ -e "$stamp" ] && .venv/bin/python -c '' 2>/dev/null; then return; fi
    echo "set-up: installing the Python packages of constraints.txt into .venv"
    .venv/bin/python -m pip --version >/dev/null 2>&1 ||
        quietly "no virtual environment can be made" "$python" -m venv --clear .venv
    # uv reads neither pip's configuration nor, unless told, the system's certificates.
    export UV_SYSTEM_CERTS=1
    index=$(pip_index)
    if [ "$index" ]; then export UV_DEFAULT_INDEX="$index"; fi
    quietly "uv cannot be had from the package index" \
        .venv/bin/python -m pip install --disable-pip-version-check -c constraints.txt uv
    quietly "the Python packages cannot be had from the package index" \
        .venv/bin/uv pip install --python .venv/bin/python -r pyproject.toml --all-extras -c constraints.txt
    make_launcher
    rm -f .venv/.set-up-*
    touch "$stamp"
}

# Makes .venv/bin/invoke of scripts/invoke.py, below the line that names the interpreter; where that is too long for one
# line, the launcher stays as it is, which only takes longer.
make_launcher() {
    interpreter=$(head -n 1 .venv/bin/invoke)
    if [ "$interpreter" = '#!/bin/sh' ]; then return; fi
    { echo "$interpreter" && cat scripts/invoke.py; } >.venv/bin/.invoke
    chmod +x .venv/bin/.invoke
    mv .venv/bin/.invoke .venv/bin/invoke
}

# Prints the package index that pip was given, in the environment or in a file.
pip_index() {
    .venv/bin/python -m pip config list | sed -n "s/^.*\.index-url='\(.*\)'\$/\1/p" | tail -n 1
}

hosts='' tests=''
case "${1:-}" in
--hosts) hosts=yes ;;
--tests) hosts=yes tests=yes ;;
esac
find_python
packages=$(missing_packages | tr '\n' ' ')
# shellcheck disable=SC2086 # a list of words
if [ "$packages" ]; then install_packages $packages; fi
make_venv
if [ "$hosts" ]; then .venv/bin/python -m carboy.sandbox image; fi
