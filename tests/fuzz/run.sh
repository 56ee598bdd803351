#!/usr/bin/env bash
# Builds the fuzzer and runs every target for a limited time, or only the named ones: tests/fuzz/run.sh [TARGET…]
#
# FUZZ_SECONDS  duration per target in seconds (default 60)
# KEEP          1: adds inputs that reach new code to the corpus, at most 15 files per target
#
# Inputs that reach new code stay in target/fuzz/found. An input that violates an invariant is written to tests/fuzz/crashes, and
# the command that replays it is printed. Stable Rust is sufficient: the flags that enable LLVM's instrumentation are those of `cargo fuzz`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

seconds=${FUZZ_SECONDS:-60}
host=$(rustc -vV | sed -n 's/^host: //p')
directory=${CARGO_TARGET_DIR:-target}
command -v c++ > /dev/null || { echo "error: C++ compiler (c++) not found on PATH; LLVM's fuzzer requires it; install g++ or clang" >&2; exit 1; }

targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  # A test ensures that each target has a corpus and each corpus a target.
  mapfile -t targets < <(ls tests/fuzz/corpus)
fi
for target in "${targets[@]}"; do
  [ -d "tests/fuzz/corpus/$target" ] || { echo "error: unknown target $target; use one of: $(ls tests/fuzz/corpus | paste -sd " ")" >&2; exit 2; }
done

# With --target, the flags apply only to the fuzzed code, not to build scripts and procedural macros.
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
  # -timeout and -rss_limit_mb are invariants too: no input takes seconds or a gigabyte.
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
    echo "replay: cargo run -p fuzz -- $target ${crash:-(see $log)}" >&2
  elif [ -n "${KEEP:-}" ]; then
    # Edges without hit counts, so that the committed corpus stays small.
    FUZZ_TARGET=$target "$fuzzer" -merge=1 -use_counters=0 -max_len=1024 -set_cover_merge=1 "$corpus" "$found" > "$log.merge" 2>&1
    # Of the generated files, which are named by their digest, only the 15 largest stay: they reach the most code.
    (cd "$corpus" && ls -S | grep -E '^[0-9a-f]{40}$' | tail -n +16 | xargs -r rm) || true
  fi
done

if [ ${#failed[@]} -gt 0 ]; then
  echo "error: invariants violated in: ${failed[*]}" >&2
  exit 1
fi
