#!/usr/bin/env bash
# kubectl, as a reader has it. What takes a node is played: there is none. A watch is ended, as the reader ends it.
set -euo pipefail
command=$1
namespace=default
watches=
arguments=("$@")
for ((i = 0; i < ${#arguments[@]}; i++)); do
  case ${arguments[i]} in
    --) break ;;
    -n | --namespace) namespace=${arguments[i + 1]} ;;
    --namespace=*) namespace=${arguments[i]#*=} ;;
    -w | --watch) watches=yes ;;
  esac
done
pods="PODS/${namespace}_${2#*/}"
case $command in
  logs) exec cat "$pods.log" ;;
  exec)
    while [ "$1" != -- ]; do shift; done
    shift
    exec "$pods.exec" "$@"
    ;;
esac
if [ -n "$watches" ]; then
  said=$(timeout 3 'CONTROL_PLANE' kubectl "$@") || [ $? = 124 ]
  echo "$said"
  [ -n "$said" ]
  exit
fi
exec 'CONTROL_PLANE' kubectl "$@"
