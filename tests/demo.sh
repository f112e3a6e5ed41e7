#!/usr/bin/env bash
# The main job from end to end: log in once, use the token, kill the daemon, go on without a login, log out.
# The demo has a home directory and a daemon of its own, ends every program that it starts, and does not touch your logins.
# usage: tests/demo.sh      (BROWSER=1: you sign in with your own browser)
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
bin=$top/target/release
home=$(mktemp -d)
server=

bold() { if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi; }
show() { printf '$ %s\n' "$*"; }

finish() {
    status=$?
    if [ -e "$home/run/ciba/agent.sock" ]; then
        "$bin/ciba" stop > /dev/null 2>&1 || true
    fi
    if [ -n "$server" ]; then
        kill "$server" 2> /dev/null || true
        wait "$server" 2> /dev/null || true
    fi
    [ "$status" = 0 ] || { echo "the demo failed; what the server said:" >&2; tail -n 20 "$home/server.log" 2> /dev/null >&2 || true; }
    rm -rf "$home"
}
trap finish EXIT

# Waits until a command succeeds. The first argument names what is waited for; the rest is the command.
await() {
    what=$1; shift
    for _ in $(seq 600); do "$@" && return 0; sleep 0.1; done
    echo "waited a minute for $what" >&2
    return 1
}

# Before the build, which takes long: what the demo needs and may have to install.
headless=
if [ "${BROWSER:-}" != 1 ] && [ -z "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
    headless=1
    bold "No display here: a headless Chromium will sign in (with BROWSER=1 you sign in yourself)."
    "$top/tests/setup.sh" browser
fi
bold "Building the programs. The first time takes 5 to 10 minutes on 2 cores."
make --no-print-directory -C "$top" build
if [ -n "$headless" ]; then
    echo "Building the program that drives the browser. The first time takes about 2 minutes."
    cargo build --manifest-path "$top/Cargo.toml" -p ciba-tests --example sign_in
fi

caller_home=$HOME
export HOME=$home XDG_RUNTIME_DIR=$home/run XDG_STATE_HOME=$home/state XDG_CONFIG_HOME=$home/config
unset CIBA_URL CIBA_RESOURCE CIBA_PROFILE CIBA_SOCKET CIBA_KEYCHAIN CIBA_DAEMON
# The kernel's keyring needs no desktop and no password. It belongs to the user and not to a home directory: a daemon that
# may use it resumes every login in it. So the demo uses it only when it can see that no login of yours is there.
export CIBA_ALLOWED_KEYCHAINS=memory
if [ -r /proc/keys ] && ! grep -Eq '^[0-9a-f]+ [^i]* .* ciba:' /proc/keys; then # `i`: deleted already
    export CIBA_ALLOWED_KEYCHAINS=kernel
fi
mkdir -m 700 "$XDG_RUNTIME_DIR"

bold "1. A server to try: with an identity provider inside, which has two users"
show "ciba-server dev"
"$bin/ciba-server" dev --listen 127.0.0.1:0 > "$home/ready" 2> "$home/server.log" &
server=$!
await "the server" grep -q '"ready":true' "$home/ready"
field() { sed -n "s/.*\"$1\":\"\\([^\"]*\\)\".*/\\1/p" "$home/ready"; }
url=$(field url)
sed -n '1,2p' "$home/server.log"

bold "2. Log in once"
show "ciba start --url $url"
if [ -n "$headless" ]; then
    "$bin/ciba" start --url "$url" --no-browser 2> "$home/start.log" &
    start=$!
    await "the link" grep -q "$url/login/" "$home/start.log"
    cat "$home/start.log"
    code=$(sed -n 's/^Compare this code with the page: //p' "$home/start.log")
    link=$(grep -o "$url/login/[^ ]*" "$home/start.log" | head -n 1)
    HOME=$caller_home "$top/target/debug/examples/sign_in" "$link" "$code" alice demo ${SCREENSHOT:+"$SCREENSHOT"}
    wait "$start"
    tail -n 2 "$home/start.log"
else
    echo "(sign in as alice, password demo)"
    "$bin/ciba" start --url "$url"
fi

# Prints the claims of the JWT on standard input, one a line.
claims() {
    local claims
    claims=$(cut -d. -f2 | tr -- '-_' '+/')
    while [ $((${#claims} % 4)) != 0 ]; do claims="$claims="; done
    printf '%s' "$claims" | base64 -d | sed 's/,"/,\n  "/g; s/^{/{\n  /; s/}$/\n}/'
    echo
}
pid() { "$bin/ciba" status --json | sed -n 's/.*"pid":\([0-9]*\).*/\1/p'; }
gone() { [ ! -d "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status" 2> /dev/null; }
daemon=$(pid)

bold "3. The token, from the daemon's memory. The demo shows its claims, not the token"
show "ciba token | (claims)"
"$bin/ciba" token | claims

bold "4. A protected API accepts the token. curl reads the token from standard input: no command line shows it"
api=$(field demo_api)
show "ciba token --header | curl -H @- $api"
"$bin/ciba" token --header | curl -sS --fail-with-body -H @- "$api"
echo

bold "5. Another service needs another token. The server exchanges the login for it at the provider, at the first request"
show "ciba token --resource urn:sap:identity:api:name:demo-orders | (claims)"
"$bin/ciba" token --resource urn:sap:identity:api:name:demo-orders | claims

bold "6. The logins and tokens of the daemon"
show "ciba status"
"$bin/ciba" status

if "$bin/ciba" status --json | grep -q '"keychain":"kernel"'; then
    bold "7. The daemon is killed. The next command starts it again, without a browser: the login is in the kernel's keyring"
    show "kill -9 $daemon; ciba token | (claims)"
    kill -9 "$daemon"
    await "the daemon's end" gone "$daemon"
    "$bin/ciba" token | claims
    daemon=$(pid)
else
    bold "7. (Left out: without a keychain that the demo may use, the login ends with the daemon.)"
fi

bold "8. Log out: the refresh token is revoked at the provider, the server and the keychain forget the login"
show "ciba stop"
"$bin/ciba" stop
await "the daemon's end" gone "$daemon"
[ ! -e "$XDG_RUNTIME_DIR/ciba/agent.sock" ]
kill "$server" && wait "$server" || { echo "the server did not leave in order" >&2; exit 1; }
server=
bold "Nothing is left running."
