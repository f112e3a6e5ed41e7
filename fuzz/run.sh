#!/bin/sh
# Runs each fuzz target for a while and stops at the first crash, naming the target and the input.
# Usage: fuzz/run.sh [seconds for each target, 60] [target …]
set -eu

cd "$(dirname "$0")"
seconds=${1:-60}
[ $# -eq 0 ] || shift
# cargo-fuzz wants flags that are for nightly compilers only; the code itself is stable.
export RUSTC_BOOTSTRAP=1

cargo fuzz --version > /dev/null 2>&1 || cargo install --locked cargo-fuzz
./seed.py
# shellcheck disable=SC2046 # a list of words, on purpose
[ $# -gt 0 ] || set -- $(cargo fuzz list --fuzz-dir .)

dictionary() {
    case $1 in
        approval_* | ask_* | token_* | ipc_* | oauth_* | ciba_*) echo json.dict ;;
        *) echo hocuspocus.dict ;;
    esac
}

for target; do
    echo "fuzz: $target, $seconds s"
    cargo fuzz run --fuzz-dir . "$target" -- -max_total_time="$seconds" -max_len=4096 -timeout=10 \
        -rss_limit_mb=2048 -verbosity=0 -print_final_stats=1 -dict="$(dictionary "$target")" || {
        echo "fuzz: $target crashed; the input is in fuzz/artifacts/$target" >&2
        exit 1
    }
done
