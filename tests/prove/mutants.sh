#!/usr/bin/env bash
# Tests the proof: applies each mutant of tests/prove/mutants to a copy of the tree, and sees that its check goes red.
# Usage: mutants.sh [NAME...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

root=$PWD
copy=$root/target/mutants
# The libraries are those of any other test build; what is proven is built fast enough to explore with.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}
fast=(--config 'profile.dev.package.tabular-operator.opt-level=1' --config 'profile.dev.package.prove.opt-level=1')

fresh_copy() {
  mkdir -p "$copy"
  # Only what differs, so that only what differs is built anew.
  git ls-files -z | while IFS= read -r -d '' file; do
    [ -f "$file" ] || continue
    cmp -s "$file" "$copy/$file" || { mkdir -p "$(dirname "$copy/$file")"; cp "$file" "$copy/$file"; }
  done
}

# Runs one check in the copy: `prove ARGUMENTS`, or `cargo test ARGUMENTS`.
check() {
  case "$1" in
    "prove "*) cargo run "${fast[@]}" --quiet --locked -p prove -- ${1#prove } ;;
    "cargo test "*) cargo test "${fast[@]}" --quiet --locked ${1#cargo test } ;;
    *) echo "error: no such check: $1" >&2; exit 2 ;;
  esac
}

names=("$@")
[ ${#names[@]} -gt 0 ] || names=($(cd tests/prove/mutants && ls -- *.patch | sed 's/\.patch$//'))

# First without any mutant: a check that is red anyway proves nothing.
fresh_copy
checks=$(cd tests/prove/mutants && sed -n 's/^Check: //p' "${names[@]/%/.patch}" | sort -u)
while IFS= read -r one; do
  (cd "$copy" && check "$one") > "$root/target/unchanged.log" 2>&1 ||
    { cat "$root/target/unchanged.log" >&2; echo "error: '$one' fails without any mutant" >&2; exit 1; }
done <<< "$checks"

failed=0
table=()
for name in "${names[@]}"; do
  patch=tests/prove/mutants/$name.patch
  title=$(sed -n 's/^Title: //p' "$patch") one=$(sed -n 's/^Check: //p' "$patch") log=$root/target/$name.log
  fresh_copy
  patch --quiet --strip 1 --directory "$copy" < "$patch" || { echo "error: $patch does not apply: make it anew" >&2; exit 1; }
  if ! (cd "$copy" && case "$one" in prove*) cargo build "${fast[@]}" --quiet --locked -p prove ;; *) cargo test "${fast[@]}" --quiet --locked --lib --no-run ;; esac) > "$log" 2>&1; then
    verdict="does not compile" failed=1
  elif (cd "$copy" && check "$one") > "$log" 2>&1; then
    verdict="NOT NOTICED" failed=1
  else
    verdict="red: $(sed -nE 's/^BROKEN: ([^:]*):.*/\1/p; s/^test (.*) \.\.\. FAILED$/\1/p; s/^    (controller::.*)$/\1/p' "$log" | head -n 1)"
  fi
  echo "$name: $verdict"
  table+=("$(printf '%-26s  %-50s  %-30s  %s' "$name" "$title" "$one" "$verdict")")
done
echo
printf '%s\n' "${table[@]}"
exit "$failed"
