#!/usr/bin/env bash
# Prints what is linked into the operator for a target as a CycloneDX document: `sbom.sh x86_64-unknown-linux-gnu`.
# cargo-cyclonedx makes it; it is built once, into the user's cache.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
target=$1
version=0.5.9

fail() { echo "deploy/image/sbom.sh: $*" >&2; exit 1; }

tool=${TABULAR_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tabular-operator}/cargo-cyclonedx-$version
if [ ! -x "$tool/bin/cargo-cyclonedx" ]; then
  echo "building cargo-cyclonedx $version (about a minute on two cores, once)…" >&2
  # In a directory of its own, so that no other build is waited for; unoptimised, as it runs for a second.
  building=$(mktemp -d)
  CARGO_TARGET_DIR=$building cargo install --quiet --debug --locked --version "$version" --root "$tool" cargo-cyclonedx >&2 ||
    fail "failed to build cargo-cyclonedx: see cargo's message above"
  rm -rf "$building"
fi

# It writes beside the manifest of each member of the workspace. Without the time and a random number the same sources give the same document.
name=.sbom-$$
trap 'find . -path ./target -prune -o -name "$name.json" -exec rm -f {} +' EXIT
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)} \
  "$tool/bin/cargo-cyclonedx" cyclonedx --quiet --format json --spec-version 1.5 --no-build-deps --target "$target" --override-filename "$name" >&2
sed "s#file://$PWD#file:///src#g" "$name.json"
