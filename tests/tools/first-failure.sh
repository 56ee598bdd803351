#!/usr/bin/env bash
# Runs a test program until its first failure.
#
#   first-failure.sh PROGRAM ARGUMENTS…
set -euo pipefail

# A backtrace takes longer than most tests.
export RUST_BACKTRACE=0
exec 3< <(exec "$@" 2>&1)
pid=$!
trap 'kill -9 "$pid" 2> /dev/null || true' EXIT
result=$(grep --max-count=1 -E '\.\.\. FAILED$|^test result: ok' <&3) || { echo "error: $1 ended without a result" >&2; exit 1; }
echo "$result"
[[ $result == 'test result: ok'* ]]
