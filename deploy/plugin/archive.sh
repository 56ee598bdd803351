#!/usr/bin/env bash
# Packs the plugin for a system: `archive.sh VERSION OS ARCHITECTURE PROGRAM LICENSES DIRECTORY` writes
# DIRECTORY/kubectl-tabular_vVERSION_OS_ARCHITECTURE.tar.gz, or .zip for windows, and prints its path.
# PROGRAM is the output of `deploy/image/compile.sh --plugin`, LICENSES that of deploy/image/licenses.sh.
# The same files result in the same bytes. Needs GNU tar, and zip for windows.
set -euo pipefail

fail() { echo "deploy/plugin/archive.sh: $*" >&2; exit 1; }

[ $# = 6 ] || fail "usage: archive.sh VERSION OS ARCHITECTURE PROGRAM LICENSES DIRECTORY"
version=$1 os=$2 architecture=$3 program=$4 licenses=$5
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
name=kubectl-tabular suffix=tar.gz
case $os in
  linux | darwin) ;;
  windows) name=kubectl-tabular.exe suffix=zip ;;
  *) fail "there are archives for linux, darwin and windows, and not for $os" ;;
esac
mkdir -p "$6"
archive=$(cd "$6" && pwd)/kubectl-tabular_v${version}_${os}_$architecture.$suffix
content=$(mktemp -d)
trap 'rm -rf "$content"' EXIT
install -m 0755 "$program" "$content/$name"
install -m 0644 "$root/LICENSE" "$content/LICENSE"
install -m 0644 "$licenses" "$content/THIRD-PARTY-LICENSES"
# kubectl runs it by its name, which on Windows would need another suffix.
[ "$os" = windows ] || install -m 0755 "$root/plugin/kubectl_complete-tabular" "$content/kubectl_complete-tabular"
time=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct)}
rm -f "$archive"
cd "$content"
if [ "$suffix" = zip ]; then
  # A time of zip has no zone.
  TZ=UTC find . -type f -exec touch --date="@$time" {} +
  printf '%s\n' * | LC_ALL=C sort | TZ=UTC zip --quiet -X "$archive" -@
else
  tar --create --sort=name --mtime="@$time" --owner=0 --group=0 --numeric-owner --mode=go-w -- * | gzip --no-name --best > "$archive"
fi
echo "$archive"
