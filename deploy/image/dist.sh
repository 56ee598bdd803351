#!/usr/bin/env bash
# Collects the content of an image: `dist.sh ARCHITECTURE DIRECTORY` writes DIRECTORY/linux/ARCHITECTURE, for amd64 or arm64.
# The first stage of the Dockerfile runs it, and `make image` runs it on this machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

fail() { echo "deploy/image/dist.sh: $*" >&2; exit 1; }

[ $# = 2 ] || fail "usage: deploy/image/dist.sh ARCHITECTURE DIRECTORY"
case $1 in
  amd64) target=x86_64-unknown-linux-gnu ;;
  arm64) target=aarch64-unknown-linux-gnu ;;
  *) fail "there are images for amd64 and arm64, and not for $1" ;;
esac
root=$2/linux/$1
documents=$root/usr/share/doc/tabular-operator

deploy/image/compile.sh --bin tabular-operator --target "$target"
rm -rf "$root"
mkdir -p "$documents"
install -m 0755 "${CARGO_TARGET_DIR:-target}/$target/release/tabular-operator" "$root/tabular-operator"
install -m 0644 LICENSE "$documents/LICENSE"
deploy/image/sbom.sh "$target" > "$documents/tabular-operator.cdx.json"
deploy/image/licenses.sh "$documents/tabular-operator.cdx.json" > "$documents/THIRD-PARTY-LICENSES"
# Independent of the umask, because the unprivileged user of the image reads these files.
chmod -R a+rX,go-w "$root"
