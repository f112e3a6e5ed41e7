#!/usr/bin/env bash
# The main job from end to end, in a home of its own: log in once, use the token, kill the daemon and go on, leave
# nothing running. Logins that you have stay as they are: the demo's has a name of its own, and only that is stopped.
# usage: tests/demo.sh DIRECTORY-OF-THE-PROGRAMS      (BROWSER=1: the login is left to you)
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
bin=$(cd "$1" && pwd)
home=$(mktemp -d)
server=
daemon=

bold() { if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi; }
show() { printf '$ %s\n' "$*"; }

finish() {
    status=$?
    if [ -n "$daemon" ]; then
        "$bin/ciba" stop > /dev/null 2>&1 || true
        kill "$daemon" 2> /dev/null || true
    fi
    if [ -n "$server" ]; then
        kill "$server" 2> /dev/null || true
        wait "$server" 2> /dev/null || true
    fi
    [ "$status" = 0 ] || { echo "the demo failed; what the server said:" >&2; tail -n 20 "$home/server.log" 2> /dev/null >&2 || true; }
    rm -rf "$home"
}
trap finish EXIT

# A waits-for: the first argument is what is waited for, the rest the test.
await() {
    what=$1; shift
    for _ in $(seq 600); do "$@" && return 0; sleep 0.1; done
    echo "waited a minute for $what" >&2
    return 1
}

headless=
if [ "${BROWSER:-}" != 1 ] && [ -z "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
    headless=1
    bold "No display here: a headless browser will sign in by itself (make demo BROWSER=1 leaves it to you)"
    "$top/tests/setup.sh"
    cargo build --quiet --manifest-path "$top/Cargo.toml" -p ciba-tests --example sign_in
fi

caller_home=$HOME
export HOME=$home XDG_RUNTIME_DIR=$home/run XDG_STATE_HOME=$home/state XDG_CONFIG_HOME=$home/config
unset CIBA_URL CIBA_RESOURCE CIBA_SOCKET CIBA_KEYCHAIN
# The kernel's keyring asks nobody, and is there without a desktop.
export CIBA_PROFILE=demo-$$ CIBA_ALLOWED_KEYCHAINS=kernel
mkdir -m 700 "$XDG_RUNTIME_DIR"

bold "1. A server with everything in it: device sessions, and an identity provider with two demo users"
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
    link=$(grep -o "$url/login/[^ ]*" "$home/start.log" | head -n 1)
    printf '\n(the headless browser signs in as alice) '
    HOME=$caller_home "$top/target/debug/examples/sign_in" "$link" alice demo ${SCREENSHOT:+"$SCREENSHOT"}
    wait "$start"
    tail -n 2 "$home/start.log"
else
    echo "(sign in as alice, password demo)"
    "$bin/ciba" start --url "$url"
fi

# What a JWT on standard input says, a claim a line.
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

bold "3. The token, from the daemon's memory; these are its claims"
show "ciba token"
"$bin/ciba" token | claims

bold "4. A protected API takes it; the token is on no command line"
api=$(field demo_api)
show "ciba token --header | curl -H @- $api"
"$bin/ciba" token --header | curl -sS --fail-with-body -H @- "$api"
echo

bold "5. Another service wants another token: exchanged at the provider when it is first asked for"
show "ciba token --resource urn:sap:identity:api:name:demo-orders"
"$bin/ciba" token --resource urn:sap:identity:api:name:demo-orders | claims

bold "6. What the daemon has"
show "ciba status"
"$bin/ciba" status

if "$bin/ciba" status --json | grep -q '"keychain":"kernel"'; then
    bold "7. The daemon dies; the next token brings it back, with no browser: the login is in the kernel's keyring"
    show "kill -9 $daemon; ciba token"
    kill -9 "$daemon"
    await "the daemon's end" gone "$daemon"
    "$bin/ciba" token | claims
    daemon=$(pid)
else
    bold "7. (No keychain here, so this login would end with its daemon.)"
fi

bold "8. And the end: revoked at the provider, forgotten by the server, gone from the keyring"
show "ciba stop"
"$bin/ciba" stop
# Logins of your own would keep this daemon as well.
kill "$daemon" 2> /dev/null || true
[ ! -d /proc/self ] || await "the daemon to leave" gone "$daemon"
daemon=
[ ! -e "$XDG_RUNTIME_DIR/ciba/agent.sock" ]
kill "$server" && wait "$server" || { echo "the server did not leave in order" >&2; exit 1; }
server=
bold "Nothing is left running."
