#!/usr/bin/env bash
# Runs a long command beside others, and waits for its end.
#
#   beside.sh LOG COMMAND… -- OTHERS…
#
# Its output is in LOG, and printed if it fails. If OTHERS fail, it is terminated.
set -euo pipefail

log=$1 command=()
shift
while [ "$1" != -- ]; do
  command+=("$1")
  shift
done
shift

"${command[@]}" > "$log" 2>&1 &
pid=$!
trap 'kill "$pid" 2> /dev/null || true' EXIT
"$@"
echo "==> ${command[*]}: waiting for its end; its output is in $log"
began=$SECONDS
if ! wait "$pid"; then
  cat "$log"
  echo "error: ${command[*]} failed: see above" >&2
  exit 1
fi
trap - EXIT
tail -n 1 "$log"
echo "==> ${command[*]}: $((SECONDS - began)) s longer than the other tests"
