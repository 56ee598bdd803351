#!/usr/bin/env bash
# Checks the libraries of this workspace against deny.toml by cargo-deny: bans, licenses and sources, without a network.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

fail() { echo "tests/tools/deny.sh: $*" >&2; exit 1; }

cargo_deny=$(tests/tools/cargo-tools.sh cargo-deny)
# By target: so cargo needs none of the crates that are for other systems alone, which it would have to download.
graph=$(mktemp) said=$(mktemp)
trap 'rm -f "$graph" "$said"' EXIT
for target in x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu; do
  cargo metadata --locked --format-version 1 --filter-platform "$target" > "$graph" || fail "failed to read the graph of $target: see above"
  "$cargo_deny" --offline --locked --log-level error --metadata-path "$graph" --target "$target" check --hide-inclusion-graph bans licenses sources \
    > "$said" 2>&1 || { cat "$said" >&2; fail "a library for $target is refused: see above, and deny.toml for the reason"; }
  # Without its remark that it did not download what other systems need.
  echo "$target: $(tail -n 1 "$said")"
done
