#!/usr/bin/env bash
# kubectl for the pages. Commands that need a node are simulated. A watch is ended after some seconds, as a reader would.
set -euo pipefail
command=$1
namespace=default
watches=
program=('CONTROL_PLANE' kubectl)
if [ "$command" = tabular ]; then
  # kubectl finds the plugin on the PATH by its name.
  program=(kubectl-tabular)
  shift
fi
arguments=("$@")
for ((i = 0; i < ${#arguments[@]}; i++)); do
  case ${arguments[i]} in
    --) break ;;
    -n | --namespace) namespace=${arguments[i + 1]} ;;
    --namespace=*) namespace=${arguments[i]#*=} ;;
    -w | --watch) watches=yes ;;
  esac
done
pod=${2:-}
pods="PODS/${namespace}_${pod#*/}"
case $command in
  logs) exec cat "$pods.log" ;;
  exec)
    while [ "$1" != -- ]; do shift; done
    shift
    exec "$pods.exec" "$@"
    ;;
esac
if [ -n "$watches" ]; then
  # Longer on a busy machine, which prints nothing at first.
  for seconds in 3 10 30; do
    output=$(timeout "$seconds" "${program[@]}" "$@") || [ $? = 124 ]
    [ -z "$output" ] || break
  done
  echo "$output"
  [ -n "$output" ]
  exit
fi
exec "${program[@]}" "$@"
