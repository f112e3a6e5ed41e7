#!/bin/bash
# Boots a real systemd with a user instance in a container: boot-systemd.sh DIRECTORY UID FILE:PLACE...
# Its root is this machine's with a layer above it that is lost at the end; each FILE is copied to PLACE in it.
# The user "tester" has the uid UID. Needs root, and a mount namespace of its own (unshare --mount), which takes all
# mounts along when it ends. Becomes systemd-nspawn; its first child is the container's systemd.
set -eu

directory=$1
uid=$2
shift 2

mount -t tmpfs tmpfs "$directory"
mkdir "$directory/upper" "$directory/work" "$directory/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$directory/upper,workdir=$directory/work" "$directory/root"
root=$directory/root
for pair in "$@"; do
    cp "${pair%%:*}" "$root${pair#*:}"
done

useradd -R "$root" -m -u "$uid" -s /bin/bash tester
# The user's systemd begins at boot, and nobody need log in.
mkdir -p "$root/var/lib/systemd/linger"
: > "$root/var/lib/systemd/linger/tester"
: > "$root/etc/machine-id"
# Nothing of this machine's own services.
units="basic.target dbus.service systemd-logind.service systemd-user-sessions.service"
printf '[Unit]\nRequires=%s\nAfter=%s\nAllowIsolate=yes\n' "$units" "$units" \
    > "$root/etc/systemd/system/ciba-test.target"

# The network is the machine's, so that servers of the test are reached. nspawn's own filter hides from units what the
# daemon keeps secrets with.
exec systemd-nspawn --quiet --directory="$root" --machine="ciba-$$" --register=no --keep-unit \
    --system-call-filter="@keyring @memlock memfd_secret" --console=pipe \
    --boot systemd.unit=ciba-test.target
