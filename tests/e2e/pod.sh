#!/usr/bin/env bash
# Runs a program like a pod under the `restricted` security standard. ROOT is its complete, read-only file system. The program runs as
# user 65532, without capabilities and without a way to gain any. Its environment contains only the given variables. It uses the
# network and the process ids of this machine: the program has the pid of this script.
#
#   pod.sh ROOT NAME=VALUE… -- PROGRAM ARGUMENTS…
#
# As root, the script switches to that user. Otherwise it uses a user namespace, in which the program owns its files.
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
