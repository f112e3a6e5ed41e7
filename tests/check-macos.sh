#!/bin/sh
# Type-checks the three programs for macOS, on Linux: for both of Apple's targets, what is written for macOS alone
# and the crates it calls. A check links nothing and runs nothing.
#
# Needs a Debian (or Ubuntu) with apt: its second Rust brings the source of the standard library, which no Apple SDK
# has to be there for. Nothing is installed; all of it lies in target/macos and is fetched once (130 MB).
set -eu

TARGETS="aarch64-apple-darwin x86_64-apple-darwin"
PROGRAMS="-p cibad -p ciba -p ciba-server"

top=$(cd "$(dirname "$0")/.." && pwd)
here=${CARGO_TARGET_DIR:-$top/target}/macos
usr=$here/root/usr
say() { echo "tests/check-macos.sh: $*" >&2; }

# The compiler, its libraries, and the source of the standard library; not the C compiler it would link with.
packages() {
    apt-cache depends --recurse --important rustc-web rust-web-src | grep -E '^(rust|libstd-rust|libllvm)' | sort -u
}

# The stamp is written last, so a download that was cut short is done again.
fetch_rust() {
    [ ! -e "$here/.fetched" ] || return 0
    command -v apt-get > /dev/null || { say "needs apt"; exit 1; }
    packages=$(packages)
    [ -n "$packages" ] || { say "apt knows no rustc-web; apt-get update may help"; exit 1; }
    rm -rf "$here/debs" "$here/root"
    mkdir -p "$here/debs"
    say "fetching" $packages
    # shellcheck disable=SC2086 # a list of words, on purpose
    (cd "$here/debs" && apt-get download -qq $packages)
    for deb in "$here"/debs/*.deb; do dpkg -x "$deb" "$here/root"; done
    rm -r "$here/debs"
    touch "$here/.fetched"
}

# Build scripts that compile C for Apple are content with a compiler that leaves empty files: nothing is linked.
write_stubs() {
    cat > "$here/cc" << 'STUB'
#!/bin/sh
previous= output=
for argument; do
    case $argument in -E | --version) echo "clang version 18"; exit 0 ;; esac
    [ "$previous" = -o ] && output=$argument
    previous=$argument
done
[ -z "$output" ] || : > "$output"
STUB
    cat > "$here/ar" << 'STUB'
#!/bin/sh
for argument; do
    case $argument in *.a) echo "!<arch>" > "$argument" ;; esac
done
STUB
    chmod +x "$here/cc" "$here/ar"
}

check() {
    underscored=$(echo "$1" | tr - _)
    # shellcheck disable=SC2086 # lists of words, on purpose
    env LD_LIBRARY_PATH="$usr/lib/x86_64-linux-gnu:$usr/lib" RUSTC="$usr/bin/rustc" RUSTC_BOOTSTRAP=1 SDKROOT=/ \
        RUSTFLAGS="-D warnings" "CC_$underscored=$here/cc" "CXX_$underscored=$here/cc" "AR_$underscored=$here/ar" \
        CARGO_TARGET_DIR="$here/check" \
        cargo check --locked $PROGRAMS -Zbuild-std=std,panic_abort --target "$1" ${JOBS:+-j "$JOBS"}
}

fetch_rust
write_stubs
cd "$top"
for target in $TARGETS; do
    check "$target"
    say "$target compiles"
done
