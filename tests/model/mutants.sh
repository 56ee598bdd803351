#!/usr/bin/env bash
# Tests the model check: applies each mutant of tests/model/mutants to a copy of the sources, and checks that its command fails.
# Usage: mutants.sh [NAME...]
#
# A mutant is a patch with a header of three lines: `Title:` what it breaks, `Check:` the command that must fail, either
# `model ARGUMENTS` or `cargo test ARGUMENTS`, and an empty one. The script fails if a patch no longer applies, if a mutant does not
# compile or is not detected, or if a check fails without a mutant.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

root=$PWD
copy=$root/target/mutants
logs=$root/target/mutants-logs
# The timeout of a build or a check, in seconds. The first build also compiles the dependencies.
limit=${MUTANTS_LIMIT:-1200}
# The dependencies are shared with the other test builds. The explored crates are optimized.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}
fast=(--config 'profile.dev.package.tabular-operator.opt-level=1' --config 'profile.dev.package.model.opt-level=1')

# Updates the copy to the working tree. Only changed files are written, so that only those are rebuilt.
fresh_copy() {
  git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
    [ -f "$file" ] || continue
    cmp -s "$file" "$copy/$file" || { mkdir -p "$(dirname "$copy/$file")"; cp "$file" "$copy/$file"; }
  done
}

# limited COMMAND...: runs a command in the copy. Returns 124 after the timeout.
limited() {
  (cd "$copy" && exec "$@") &
  local work=$! status=0
  (sleep "$limit" && { pkill -P "$work"; kill "$work"; }) > /dev/null 2>&1 &
  local alarm=$!
  wait "$work" || status=$?
  if kill -0 "$alarm" 2> /dev/null; then
    pkill -P "$alarm" || true
    wait "$alarm" 2> /dev/null || true
  else
    status=124
  fi
  return "$status"
}

build() {
  case "$1" in
    "model "*) limited cargo build "${fast[@]}" --quiet --locked -p model ;;
    "cargo test --lib "*) limited cargo test --quiet --locked --lib --no-run ;;
    "cargo test --test scenarios "*) limited cargo test --quiet --locked --test scenarios --no-run ;;
    *) echo "error: no such check: $1" >&2; exit 2 ;;
  esac
}

check() {
  local arguments
  read -ra arguments <<< "${1#model }"
  case "$1" in
    "model "*) limited "$CARGO_TARGET_DIR/debug/model" "${arguments[@]}" ;;
    *) read -ra arguments <<< "${1#cargo test }"; limited cargo test --quiet --locked "${arguments[@]}" ;;
  esac
}

# The violated invariant or the failed tests in the log of a check.
failures_in() {
  sed -nE 's/^VIOLATED: ([^:]*):.*/\1/p; s/^    ([a-z_]+(::[a-z_0-9]+)+)$/\1/p' "$1" | sort -u | head -n 2 | paste -sd ',' - | sed 's/,/, /g'
}

row() { printf '%-26s  %-74s  %-34s  %4s s  %s\n' "$@"; }

names=("$@")
[ ${#names[@]} -gt 0 ] || names=($(cd tests/model/mutants && ls -- *.patch | sed 's/\.patch$//'))
mkdir -p "$copy" "$logs"
began=$SECONDS failed=0

# First without a mutant, because a check that always fails detects nothing.
fresh_copy
while IFS= read -r one; do
  if ! { build "$one" && check "$one"; } > "$logs/unchanged.log" 2>&1; then
    cat "$logs/unchanged.log" >&2
    echo "error: '$one' fails without any mutant" >&2
    exit 1
  fi
done <<< "$(cd tests/model/mutants && sed -n 's/^Check: //p' "${names[@]/%/.patch}" | sort -u)"
echo "without a mutant every check passes: $((SECONDS - began)) s"

row mutant 'what it breaks' check time 'what failed'
for name in "${names[@]}"; do
  patch=tests/model/mutants/$name.patch log=$logs/$name.log start=$SECONDS
  title=$(sed -n 's/^Title: //p' "$patch") one=$(sed -n 's/^Check: //p' "$patch")
  fresh_copy
  status=0
  if ! patch --quiet --force --no-backup-if-mismatch --strip 1 --directory "$copy" < "$patch" > "$log" 2>&1; then
    verdict="DOES NOT APPLY: update the patch" failed=1
  elif ! build "$one" > "$log" 2>&1; then
    verdict="DOES NOT COMPILE: see ${log#"$root/"}" failed=1
  elif check "$one" > "$log" 2>&1; then
    verdict="NOT DETECTED" failed=1
  else
    status=$?
    verdict=$(failures_in "$log")
    if [ "$status" -eq 124 ]; then
      verdict="NOT DETECTED within $limit s" failed=1
    elif [ -z "$verdict" ]; then
      verdict="FAILED otherwise: see ${log#"$root/"}" failed=1
    fi
  fi
  row "$name" "$title" "$one" "$((SECONDS - start))" "$verdict"
done
fresh_copy
find "$copy" \( -name '*.rej' -o -name '*.orig' \) -delete
[ "$failed" -eq 0 ] && echo "${#names[@]} mutants, all detected: $((SECONDS - began)) s" ||
  echo "of ${#names[@]} mutants some were not detected: $((SECONDS - began)) s" >&2
exit "$failed"
