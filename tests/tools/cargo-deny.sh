#!/usr/bin/env bash
# Checks the libraries of this workspace against deny.toml by cargo-deny: bans, licenses and sources, without a network.
# cargo-deny is built once, into the user's cache.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
version=0.20.2

fail() { echo "tests/tools/cargo-deny.sh: $*" >&2; exit 1; }

tool=${TABULAR_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tabular-operator}/cargo-deny-$version
if [ ! -x "$tool/bin/cargo-deny" ]; then
  echo "building cargo-deny $version (about 5 minutes on two cores, once)…" >&2
  # In a directory of its own, so that no other build is waited for; unoptimised, as it runs for a second.
  building=$(mktemp -d)
  trap 'rm -rf "$building"' EXIT
  CARGO_TARGET_DIR=$building cargo install --quiet --debug --locked --version "$version" --root "$tool" cargo-deny >&2 ||
    fail "failed to build cargo-deny: see cargo's message above"
fi

# By target: so cargo needs none of the crates that are for other systems alone, which it would have to download.
graph=$(mktemp) said=$(mktemp)
trap 'rm -rf "$graph" "$said" "${building:-}"' EXIT
for target in x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu; do
  cargo metadata --locked --format-version 1 --filter-platform "$target" > "$graph" || fail "failed to read the graph of $target: see above"
  "$tool/bin/cargo-deny" --offline --locked --log-level error --metadata-path "$graph" --target "$target" check --hide-inclusion-graph bans licenses sources \
    > "$said" 2>&1 || { cat "$said" >&2; fail "a library for $target is refused: see above, and deny.toml for the reason"; }
  # Without its remark that it did not download what other systems need.
  echo "$target: $(tail -n 1 "$said")"
done
