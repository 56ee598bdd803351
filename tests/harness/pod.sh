#!/usr/bin/env bash
# Runs a program as a pod under the `restricted` security standard does: ROOT is its whole file system and read-only, it is user
# 65532, has no capabilities, and cannot gain any. Its environment is what is given. Its network is this machine's, and so are the
# numbers of processes: the program has this script's.
#
#   pod.sh ROOT NAME=VALUE… -- PROGRAM ARGUMENTS…
#
# As root it becomes that user. As anybody else it does so in a user namespace, where its files are then that user's own.
set -euo pipefail
root=$1
shift
environment=()
while [ "$1" != -- ]; do
  environment+=("$1")
  shift
done
shift

mount='mount --bind "$0" "$0"; mount -o remount,bind,ro,nosuid,nodev "$0"; exec "$@"'
clean=("$(command -v env)" -i "${environment[@]}" "$(command -v setpriv)" --no-new-privs --)
if [ "$(id -u)" = 0 ]; then
  exec unshare --mount -- sh -ec "$mount" "$root" "${clean[@]}" "$(command -v chroot)" --userspec=65532:65532 --groups=65532 "$root" "$@"
else
  exec unshare --user --map-root-user --mount -- sh -ec "$mount" "$root" \
    "${clean[@]}" "$(command -v unshare)" --user --map-user=65532 --map-group=65532 --root="$root" --wd=/ -- "$@"
fi
