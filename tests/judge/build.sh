#!/usr/bin/env bash
# Builds the judge, which asks Flux's and Argo CD's libraries what they think of a resource, once for each state of this module,
# and prints the path of the program.
# It is kept outside the tree, so that other clones and later checkouts of the same sources find it at once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

say() { echo "$*" >&2; }
fail() { say "tests/judge/build.sh: $*"; exit 1; }

# No downloaded toolchain, no C compiler, and none of the user's own settings, in a way that go.mod might be changed.
export GOTOOLCHAIN=local CGO_ENABLED=0 GOFLAGS='' GOWORK=off

wanted=$(sed -n 's/^go //p' go.mod)
command -v go >/dev/null || fail "go is not on PATH: install Go $wanted or newer (https://go.dev/dl/)"
go=$(go version) # "go version go1.26.0 linux/amd64"
found=$(sed -n 's/^go version go\([0-9][0-9.]*\).*/\1/p' <<<"$go") # empty for a development version, which is taken as it is
if [ -n "$found" ] && [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" != "$wanted" ]; then
  fail "go is version $found, which is too old: install Go $wanted or newer (https://go.dev/dl/)"
fi

checksum() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi; }
hash=$({ echo "$go"; for file in go.mod go.sum build.sh *.go; do echo "$file"; cat "$file"; done; } | checksum | cut -c 1-16)
cache=${TABULAR_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tabular-operator}
directory=$cache/judge-$hash
program=$directory/judge

# The directory's time is that of its last use: see the end.
found_it() { [ -x "$program" ] && { touch "$directory"; echo "$program"; exit 0; } || true; }
found_it

# Two builds at once would take twice as long, both. They do no harm otherwise: the directory appears whole or not at all.
mkdir -p "$cache"
if command -v flock >/dev/null; then
  exec 9>"$cache/judge.lock"
  flock --nonblock 9 || { say "waiting for another build of the judge…"; flock 9; }
  found_it
fi

version() { sed -n "s#^\t$1 v\([^ ]*\).*#\1#p" go.mod; }
say "building the judge of Argo CD $(version github.com/argoproj/argo-cd/v3), Flux's runtime $(version github.com/fluxcd/pkg/runtime)" \
  "and kstatus $(version github.com/fluxcd/cli-utils) (about 2 minutes on two cores, once)…"
began=$SECONDS
building=$cache/.judge.building.$$
trap 'rm -rf "$building"' EXIT
mkdir -p "$building"
go build -trimpath -buildvcs=false -ldflags '-s -w' -o "$building/" . 1>&2 9>&- || fail "failed to build the judge: see go's message above"
mv "$building" "$directory" 2>/dev/null || [ -x "$program" ] || fail "failed to move what was built to $directory"
say "… done in $((SECONDS - began)) s"

# What no checkout has asked for in a month goes.
find "$cache" -maxdepth 1 -type d -name 'judge-*' -mtime +30 -exec rm -rf {} + || true
echo "$program"
