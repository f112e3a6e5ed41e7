#!/bin/sh
# Installs what the tests behind the feature `real` drive: node, chromium, keyrings and a few tools, and the
# npm packages of the folders in interop/. Says what it does; silent and quick when all is there.
set -eu

NODE_AT_LEAST=20
here=$(cd "$(dirname "$0")" && pwd)
have() { command -v "$1" > /dev/null 2>&1; }
say() { echo "tests/setup.sh: $*" >&2; }

# tool:package, one for each program a test starts.
TOOLS="chromium:chromium chromedriver:chromium-driver socat:socat python3:python3 openssl:openssl
    dbus-daemon:dbus dbus-send:dbus gnome-keyring-daemon:gnome-keyring secret-tool:libsecret-tools keyctl:keyutils
    systemd-nspawn:systemd-container"

# Packages that bring no program: a user's systemd needs its bus, and somebody who starts it.
PACKAGES="dbus-user-session libpam-systemd"

node_is_new_enough() {
    have node && [ "$(node --version | sed 's/^v\([0-9]*\).*/\1/')" -ge "$NODE_AT_LEAST" ]
}

is_installed() {
    ! have dpkg-query || [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2> /dev/null)" = installed ]
}

missing_packages() {
    for pair in $TOOLS; do
        have "${pair%%:*}" || printf ' %s' "${pair#*:}"
    done
    for package in $PACKAGES; do
        is_installed "$package" || printf ' %s' "$package"
    done
    node_is_new_enough || printf ' nodejs'
    have npm || printf ' npm'
}

# Runs a command as root: directly.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

install_packages() {
    if ! have apt-get || { [ "$(id -u)" != 0 ] && ! have sudo; }; then
        say "cannot install packages here; install these and run again:$*"
        exit 1
    fi
    say "installing:$*"
    as_root apt-get update -qq -o DPkg::Lock::Timeout=300
    # shellcheck disable=SC2086 # a list of words, on purpose
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        -o DPkg::Lock::Timeout=300 $* > /dev/null
    if ! node_is_new_enough; then
        say "the distribution's node is older than $NODE_AT_LEAST; install a newer one and run again"
        exit 1
    fi
}

# The stamp is written last, so an installation that was cut short is done again.
install_node_modules() {
    stamp=$1/node_modules/.installed
    [ ! -e "$stamp" ] || [ "$1/package.json" -nt "$stamp" ] || return 0
    say "npm install in ${1#"$here"/}"
    (cd "$1" && npm install --ignore-scripts --no-audit --no-fund --loglevel=error > /dev/null)
    touch "$stamp"
}

missing=$(missing_packages)
[ -z "$missing" ] || install_packages "$missing"
for folder in "$here"/interop/*/; do
    install_node_modules "${folder%/}"
done
