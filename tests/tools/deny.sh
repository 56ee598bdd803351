#!/usr/bin/env bash
# Checks the libraries of this workspace against deny.toml with cargo-deny: bans, licenses and sources, offline.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

fail() { echo "tests/tools/deny.sh: $*" >&2; exit 1; }

cargo_deny=$(tests/tools/cargo-tools.sh cargo-deny)
# Per target: cargo then needs no crates of other systems, which it would have to download.
graph=$(mktemp) output=$(mktemp)
trap 'rm -f "$graph" "$output"' EXIT
for target in x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu; do
  cargo metadata --locked --format-version 1 --filter-platform "$target" > "$graph" || fail "failed to read the graph of $target: see above"
  "$cargo_deny" --offline --locked --log-level error --metadata-path "$graph" --target "$target" check --hide-inclusion-graph bans licenses sources \
    > "$output" 2>&1 || { cat "$output" >&2; fail "a library for $target is refused: see above, and deny.toml for the reason"; }
  # Omits its remark about crates of other systems that were not downloaded.
  echo "$target: $(tail -n 1 "$output")"
done
