#!/usr/bin/env bash
# Builds the fuzzer, and runs every target for a while, or the one that is named: tests/fuzz/run.sh [TARGET]
#
# FUZZ_SECONDS  for how long each (60)
# KEEP          1: adds to the corpus what reaches code that the corpus did not reach, at most 15 files each
#
# What the fuzzer finds stays in target/fuzz/found; an input that breaks a law goes to tests/fuzz/crashes, with the command
# that plays it again. A stable Rust is enough: LLVM's instrumentation is asked for by flags that `cargo fuzz` gives too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

seconds=${FUZZ_SECONDS:-60}
host=$(rustc -vV | sed -n 's/^host: //p')
directory=${CARGO_TARGET_DIR:-target}
command -v c++ > /dev/null || { echo "error: no C++ compiler is on PATH (c++), which LLVM's fuzzer is built with: install g++ or clang" >&2; exit 1; }

targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  # A test says that each has a corpus, and each corpus a target.
  mapfile -t targets < <(ls tests/fuzz/corpus)
fi
for target in "${targets[@]}"; do
  [ -d "tests/fuzz/corpus/$target" ] || { echo "error: there is no target $target: write one of $(ls tests/fuzz/corpus | paste -sd " ")" >&2; exit 2; }
done

# With --target, the flags are for what is fuzzed, and not for build scripts and macros.
flags="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
flags+=" -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=16"
RUSTFLAGS="$flags" cargo build --locked --quiet --profile fuzz --target "$host" -p fuzz --features fuzzer --bin fuzzer
fuzzer=$directory/$host/fuzz/fuzzer

failed=()
for target in "${targets[@]}"; do
  corpus=tests/fuzz/corpus/$target
  found=$directory/fuzz/found/$target
  log=$directory/fuzz/$target.log
  mkdir -p "$found" tests/fuzz/crashes
  # -timeout and -rss_limit_mb are laws too: no input takes seconds, or a gigabyte.
  code=0
  FUZZ_TARGET=$target "$fuzzer" -max_total_time="$seconds" -max_len=8192 -timeout=5 -rss_limit_mb=1024 -dict=tests/fuzz/words.dict \
    -artifact_prefix="tests/fuzz/crashes/$target-" -print_final_stats=1 "$found" "$corpus" > "$log" 2>&1 || code=$?
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  covered=$(grep -o 'cov: [0-9]*' "$log" | tail -n 1)
  printf '%-16s %12s runs   %s\n' "$target" "${runs:-?}" "${covered:-}"
  if [ "$code" -ne 0 ]; then
    failed+=("$target")
    grep -E 'panicked at|^thread|ERROR:|SUMMARY:' -A 2 "$log" | head -n 12 >&2 || tail -n 20 "$log" >&2
    crash=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
    echo "play it again: cargo run -p fuzz -- $target ${crash:-(see $log)}" >&2
  elif [ -n "${KEEP:-}" ]; then
    # Edges alone, not how often: what is committed stays small.
    FUZZ_TARGET=$target "$fuzzer" -merge=1 -use_counters=0 -max_len=1024 -set_cover_merge=1 "$corpus" "$found" > "$log.merge" 2>&1
    # Of what has no name but its digest, the largest alone, which reach most.
    (cd "$corpus" && ls -S | grep -E '^[0-9a-f]{40}$' | tail -n +16 | xargs -r rm) || true
  fi
done

if [ ${#failed[@]} -gt 0 ]; then
  echo "error: a law is broken by: ${failed[*]}" >&2
  exit 1
fi
