#!/usr/bin/env bash
# Builds a tool from crates.io once, in the user's cache, and prints the path of its program: `cargo-tools.sh cargo-deny`.
set -euo pipefail

fail() { echo "tests/tools/cargo-tools.sh: $*" >&2; exit 1; }

case ${1:-} in
  cargo-deny) version=0.20.2 program=cargo-deny ;;
  cargo-mutants) version=26.0.0 program=cargo-mutants ;;
  typos-cli) version=1.52.0 program=typos ;;
  *) fail "usage: cargo-tools.sh cargo-deny | cargo-mutants | typos-cli" ;;
esac
directory=${TABULAR_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tabular-operator}/$1-$version
if [ ! -x "$directory/bin/$program" ]; then
  echo "building $1 $version (about 5 minutes on two cores, once)…" >&2
  # In a separate directory, so that it waits for no other build; unoptimized, because it runs for seconds.
  building=$(mktemp -d)
  trap 'rm -rf "$building"' EXIT
  CARGO_TARGET_DIR=$building cargo install --quiet --debug --locked --version "$version" --root "$directory" "$1" >&2 ||
    fail "failed to build $1: see cargo's message above"
fi
echo "$directory/bin/$program"
